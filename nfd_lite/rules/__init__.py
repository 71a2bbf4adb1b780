"""The NodeFeatureRule engine. PURE: features and rules in, an Outcome out; the same input gives the same Outcome, byte for byte.

Only `custom_files` touches the world: it reads drop-ins of nfd-worker's custom rules.
"""

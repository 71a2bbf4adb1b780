"""The NodeFeatureRule engine. PURE: the same features and rules always have the same Outcome, byte for byte.

Only `custom_files` accesses the host: it reads drop-in files with nfd-worker's custom rules.
"""

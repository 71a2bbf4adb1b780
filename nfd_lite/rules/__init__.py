"""The NodeFeatureRule engine. PURE: features and rules in, an Outcome out; the same input gives the same Outcome, byte for byte."""

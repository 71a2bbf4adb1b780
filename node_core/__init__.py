"""The core that the three agents share. Data flows one way: host -> facts (domain) -> decisions (domain) -> API server and kubelet.

This package imports no agent. The layers inside it are import-linter contracts in pyproject.toml.
"""

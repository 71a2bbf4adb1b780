"""What the three agents share. Data flows one way: host -> facts (domain) -> decisions (domain) -> the outside.

Nothing here imports an agent. The layers inside are import-linter contracts in pyproject.toml.
"""

"""Completion in bash, zsh and fish, and of `kubectl gpu`. Imports modules of other commands only if a completion needs them."""

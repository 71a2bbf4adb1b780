"""Scenarios: the nodes with GPUs that can be simulated. `file_format` defines the YAML files, and the shipped files are in this folder."""

"""The version of the programs. pyproject.toml reads it here: reading it from the installed distribution took 8 ms of each start."""

VERSION = "0.1.0"

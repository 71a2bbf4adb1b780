"""Measurements of the agents. `make bench` runs all that docs/reference/performance.md shows; see README.md for the others."""

"""PURE: frozen facts and the functions that decide from them.

No I/O, clock, environment, randomness or threads in here, and no import of any other part of node_core but `errors`.
"""

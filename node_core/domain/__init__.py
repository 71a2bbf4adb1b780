"""PURE: frozen facts, and functions that decide from these facts.

This package does no I/O. It uses no clock, environment, randomness or threads. From node_core it imports only `errors`.
"""

"""The agents of a whole cluster against a real API server: `make scale`."""

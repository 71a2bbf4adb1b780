"""The runtime of the agents: settings, control loop, signals, health checks, metrics, log, and the selection of config files."""

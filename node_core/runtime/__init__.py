"""Keeps a process alive: settings, schedule, signals, health and metrics, log. NVIDIA's config file and the premium taints are here too."""

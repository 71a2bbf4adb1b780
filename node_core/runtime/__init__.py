"""Keeps a process alive: settings, schedule, signals, health and metrics, log."""

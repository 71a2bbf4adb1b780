"""Keeps a process alive: settings, schedule, signals, health and metrics, log. It knows no labels' meaning and no GPU."""

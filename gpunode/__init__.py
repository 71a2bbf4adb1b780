"""The command for people, above the agents."""

"""The destinations of the outputs: one Writer per destination. A Writer observes its destination and writes only differences."""

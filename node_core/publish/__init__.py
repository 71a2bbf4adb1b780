"""Where labels go: one file per destination."""

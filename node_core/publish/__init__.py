"""Where labels go: one file per destination. Each writes only what changed and knows what it published before."""

"""The cluster of the person who runs a command: connection, rights and lists. Sends only read requests."""

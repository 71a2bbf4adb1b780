"""The ResourceSlices of the node: planned from devices, compared with the API server's, and written if they differ."""

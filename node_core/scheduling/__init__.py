"""What decides where a pod runs: the typed parts of Nodes and Pods. PURE."""

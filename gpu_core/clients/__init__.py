"""GPU clients of others on this node: DaemonSets that labels of the Node pause, while a change needs GPUs without clients."""

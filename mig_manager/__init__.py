"""mig-manager: makes the MIG layouts of this node's GPUs equal to the config that a label of the Node names."""

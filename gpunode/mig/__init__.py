"""`gpunode mig`: shows, plans, applies and exports the MIG layouts of the GPUs of this node. The code is that of mig-manager."""

"""`gpunode cleanup`: removes from a node everything that the agents wrote, and nothing else."""

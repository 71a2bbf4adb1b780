"""`gpunode cleanup`: takes from a node all that is ours, and nothing else."""

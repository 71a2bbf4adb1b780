"""`gpunode top`: the live use of GPUs and MIG devices, with the pods that have them."""

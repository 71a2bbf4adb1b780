"""CUDA Multi-Process Service: one control daemon for each resource that is shared by it, run and minded as a child of ours."""

"""CUDA Multi-Process Service (MPS): runs one control daemon for each resource that is shared by MPS."""

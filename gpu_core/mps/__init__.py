"""CUDA Multi-Process Service (MPS): runs control daemons of the driver, one for each folder."""

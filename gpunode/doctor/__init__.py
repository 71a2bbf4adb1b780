"""`gpunode doctor`: checks whether pods can get the GPUs of this node."""

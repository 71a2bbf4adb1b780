"""`gpunode validate`: the checks of gpu-validator, once and for people."""

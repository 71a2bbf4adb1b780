"""Values of GPUs, MIG devices, Xids, sharing and CDI, and the functions that decide from them. No I/O, clock, randomness or threads."""

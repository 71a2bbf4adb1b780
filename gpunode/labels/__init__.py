"""`gpunode labels`: the labels that the agents would publish on this host, the source of each value, and why a label is missing."""

"""`gpunode ui`: a page on this machine that shows the GPUs of the cluster, with the person's own kubeconfig. Sends only read requests."""

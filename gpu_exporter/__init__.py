"""The agent that exports metrics of GPUs, and of the pods that use them, to Prometheus."""

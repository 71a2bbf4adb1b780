"""gpu-toolkit: lets the container runtime of this node inject CDI devices. It changes nothing if the runtime does so already."""

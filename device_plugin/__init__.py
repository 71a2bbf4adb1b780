"""The agent that advertises GPUs to the kubelet, allocates them to containers and monitors their health."""

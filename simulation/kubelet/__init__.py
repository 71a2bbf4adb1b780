"""The simulated kubelet: the device plugin API on real sockets, and the Node and Pods of one node. It starts no containers."""

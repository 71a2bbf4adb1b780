"""The gRPC services through which the kubelet discovers the driver, prepares claims, and reads the health of devices."""

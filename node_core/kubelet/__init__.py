"""The kubelet's device-plugin API: its .proto file and stubs, sockets, and the two ends of each call. The only importer of grpc."""

"""The kubelet's device-plugin API: .proto files, generated stubs, sockets."""

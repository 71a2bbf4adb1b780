"""The kubelet's device-plugin API: its .proto file and stubs, sockets, clients and servers."""

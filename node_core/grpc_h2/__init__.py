"""A gRPC server and client on Unix sockets. HTTP/2 is implemented by `h2`; only this package imports `h2`.

A server runs one thread. A client runs no thread. Methods accept and return bytes; the caller encodes and decodes the messages.
Source: gRPC over HTTP2 (PROTOCOL-HTTP2.md of gRPC) and RFC 9113.
"""

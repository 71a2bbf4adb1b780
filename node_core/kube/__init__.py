"""The only importer of `kubernetes`: reads and watches our Node, applies to it. Exceptions leave here as errors.KubeError."""

"""PURE: which devices a container gets, and what the container runtime is told about them."""

"""The agent gpu-dra-driver: gives pods the GPUs of a node by Dynamic Resource Allocation. Imports no other agent."""

"""The command `gpunode` for administrators. It uses the agents."""

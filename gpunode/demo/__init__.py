"""`gpunode demo`: a simulated cluster on loopback, the three agents, and a tour that shows what the agents do."""

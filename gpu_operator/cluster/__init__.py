"""Writes to the cluster: the Lease of the leader, and the plan of each pass. Only the leader writes."""

"""Prepares ResourceClaims on the node: what a claim gets is planned from facts, recorded on disk, and then made on the hardware."""

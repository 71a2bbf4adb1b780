"""`make faults`: what a Node loses when the kubelet, the API server, the disk, the clock or the agents themselves fail.

`table` is pure: rows and their verdicts. `site` runs `gpunode run` on a simulated Node and counts losses, `cases` makes the faults, and
`altered` is `gpunode` with a changed clock, or one that ends at a certain write.
"""

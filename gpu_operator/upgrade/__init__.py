"""Rolling upgrades of driver pods: a pure function from the observed cluster to the next steps.

`facts` reads the raw objects, `decide` decides about one Node, `budget` selects the Nodes that may start, `plan` combines them, and
`apply` writes. Nothing is remembered between two passes: the progress of a Node is in its labels and annotations.
"""

"""NodeFeatureGroups: lists the Nodes that match the rules of a group in the status of the group.

`views` parses what the informers observe, `facts` combines the features of one Node, `evaluate` applies the rules of one group to one Node,
`groups` evaluates again what has changed, and `agent` writes the status. Source: Node Feature Discovery's documentation, NodeFeatureGroup.
"""

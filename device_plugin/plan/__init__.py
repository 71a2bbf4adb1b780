"""PURE: from what the node has and what its administrator wants to what is on offer, step by step.

`found` devices of the inventory and `lost` ones that it had before; `layout` gives each the resource of its MIG strategy; `assign` keeps
some back and gives some to pools; `share` makes replicas; `node` is all of it.
"""

"""The only importer of `kubernetes`: reads and watches our Node, applies to it."""

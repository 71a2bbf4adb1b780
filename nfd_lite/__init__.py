"""nfd-lite: labels the node with the features of its host and with the outputs of rules, as Node Feature Discovery does."""

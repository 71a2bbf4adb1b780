"""gpu-validator: checks each stage of a GPU node, from the driver to a container, and shows the result on the Node and to other pods."""

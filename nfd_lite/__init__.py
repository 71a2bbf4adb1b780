"""Labels the node with OS, kernel, CPU, memory, storage and PCI facts, as Node Feature Discovery does, from the node itself."""

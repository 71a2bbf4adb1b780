"""`nfd-lite-topology`: publishes the NUMA nodes of its node, and what is available in each, as a NodeResourceTopology object."""

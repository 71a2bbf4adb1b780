"""Observes the cluster with kopf. Only this package imports kopf, which loads 50 MiB: import its modules late."""

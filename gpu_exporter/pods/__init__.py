"""Which pods have which devices, and what each pod uses of them.

`device_names`, `holders` and `usage` decide; the other modules read: the kubelet, its checkpoint, the API server and /proc.
"""

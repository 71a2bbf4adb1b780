"""Plans the resources to advertise from the inventory and the settings. PURE.

`present` lists the devices of the inventory; `lost` lists devices that can no longer be read; `layout` maps devices to resources by the
MIG strategy; `assign` reserves devices and assigns devices to pools; `share` creates replicas; `node` combines these steps.
"""

"""Devices beside GPUs: IMEX channels, GDRCopy, GPUDirect Storage and MOFED."""

from collections.abc import Iterator

from device_plugin.cdi.devices import node_edits
from device_plugin.cdi.driver import mount_files
from device_plugin.cdi.kinds import VOID, CdiClass, Part, kind
from device_plugin.cdi.options import CdiOptions
from node_core.domain.cdi import ALL, CdiDevice, Edits, make_spec, merge
from node_core.host.device_nodes import DeviceNodes
from node_core.host.driver_files import DriverFiles

IMEX_CHANNEL = "/dev/nvidia-caps-imex-channels/channel"
_PREFIXES = {
    CdiClass.GDRCOPY: ("/dev/gdrdrv",),
    CdiClass.GDS: ("/dev/nvidia-fs",),
    CdiClass.MOFED: ("/dev/infiniband/uverbs", "/dev/infiniband/rdma_cm"),
}
"""How the paths of a class's device nodes begin."""


def plan_optional(driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> Iterator[Part]:
    """For each class that is wanted."""
    if options.imex_channels:
        yield _imex(nodes, options)
    wanted = {CdiClass.GDRCOPY: options.gdrcopy, CdiClass.GDS: options.gds, CdiClass.MOFED: options.mofed}
    yield from (_single(cls, driver, nodes, options) for cls, is_wanted in wanted.items() if is_wanted)


def _imex(nodes: DeviceNodes, options: CdiOptions) -> Part:
    paths = {str(channel): f"{IMEX_CHANNEL}{channel}" for channel in options.imex_channels}
    found = {channel: node_edits([path], nodes, options) for channel, path in paths.items() if path in nodes.nodes}
    return Part(
        cls=CdiClass.IMEX_CHANNEL,
        spec=make_spec(
            kind(CdiClass.IMEX_CHANNEL), [CdiDevice(name=name, edits=edits) for name, edits in found.items()]
        ),
        names={channel: channel for channel in found},
        notes=tuple(
            f"IMEX channel {channel} is in no CDI spec: there is no device node {options.roots.dev_path(path)}."
            for channel, path in paths.items()
            if channel not in found
        ),
    )


def _single(cls: CdiClass, driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> Part:
    """A spec whose only device is `all`."""
    prefixes = _PREFIXES[cls]
    edits = node_edits([path for path in nodes.nodes if path.startswith(prefixes)], nodes, options)
    if not edits:
        begins = " or ".join(map(options.roots.dev_path, prefixes))
        return Part(cls=cls, notes=(f"There is no CDI spec for {cls}: no device node's path begins with {begins}.",))
    files = Edits(mounts=mount_files(driver.gds, options) if cls is CdiClass.GDS else ())
    device = CdiDevice(name=ALL, edits=merge([edits, files]))
    return Part(cls=cls, spec=make_spec(kind(cls), [device], Edits(env=(VOID,))), names={ALL: ALL})

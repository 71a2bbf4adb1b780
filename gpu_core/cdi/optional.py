"""Builds specifications for devices other than GPUs: IMEX channels, GDRCopy, GPUDirect Storage and MOFED."""

from collections.abc import Iterator

from gpu_core.cdi.devices import node_edits
from gpu_core.cdi.driver import mount_files
from gpu_core.cdi.kinds import IMEX_CHANNEL_PATH, VOID, CdiClass, ClassPlan, kind
from gpu_core.cdi.options import CdiOptions
from gpu_core.domain.cdi import ALL, CdiDevice, Edits, make_spec, merge
from gpu_core.host.device_nodes import DeviceNodes
from gpu_core.host.driver_files import DriverFiles

_PREFIXES = {
    CdiClass.GDRCOPY: ("/dev/gdrdrv",),
    CdiClass.GDS: ("/dev/nvidia-fs",),
    CdiClass.MOFED: ("/dev/infiniband/uverbs", "/dev/infiniband/rdma_cm"),
}
"""The path prefixes of the device nodes of a class."""


def plan_optional(driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> Iterator[ClassPlan]:
    """Yields the specification of each enabled class."""
    if options.imex_channels:
        yield _imex(nodes, options)
    enabled = {CdiClass.GDRCOPY: options.gdrcopy, CdiClass.GDS: options.gds, CdiClass.MOFED: options.mofed}
    yield from (_single(cls, driver, nodes, options) for cls, is_enabled in enabled.items() if is_enabled)


def _imex(nodes: DeviceNodes, options: CdiOptions) -> ClassPlan:
    paths = {str(channel): f"{IMEX_CHANNEL_PATH}{channel}" for channel in options.imex_channels}
    edits = {channel: node_edits([path], nodes, options) for channel, path in paths.items() if path in nodes.nodes}
    return ClassPlan(
        cls=CdiClass.IMEX_CHANNEL,
        spec=make_spec(kind(CdiClass.IMEX_CHANNEL), [CdiDevice(name=name, edits=each) for name, each in edits.items()]),
        names={channel: channel for channel in edits},
        notes=tuple(
            f"IMEX channel {channel} has no CDI device: the device node {options.roots.dev_path(path)} does not exist."
            for channel, path in paths.items()
            if channel not in edits
        ),
    )


def _single(cls: CdiClass, driver: DriverFiles, nodes: DeviceNodes, options: CdiOptions) -> ClassPlan:
    """Builds a specification with `all` as its only device."""
    prefixes = _PREFIXES[cls]
    edits = node_edits([path for path in nodes.nodes if path.startswith(prefixes)], nodes, options)
    if not edits:
        paths = " or ".join(map(options.roots.dev_path, prefixes))
        return ClassPlan(cls=cls, notes=(f"No CDI specification for {cls}: no device node starts with {paths}.",))
    files = Edits(mounts=mount_files(driver.gds, options) if cls is CdiClass.GDS else ())
    device = CdiDevice(name=ALL, edits=merge([edits, files]))
    return ClassPlan(cls=cls, spec=make_spec(kind(cls), [device], Edits(env=(VOID,))), names={ALL: ALL})

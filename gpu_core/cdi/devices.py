"""Builds the CDI device of each GPU and MIG device: the device nodes that a container gets."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpu_core.cdi.hook_program import LINKS
from gpu_core.cdi.hooks import has_hook, link_hook
from gpu_core.cdi.options import NO_GIDS, CdiOptions
from gpu_core.domain.cdi import CdiDevice, DeviceNodeEdit, Edits, is_device_name, merge
from gpu_core.domain.inventory import Gpu, Inventory, MigDevice
from gpu_core.host.device_nodes import BY_PATH, DeviceNodes
from gpu_core.host.mig_caps import MIG_MINORS, MONITOR, mig_capabilities

_WORLD_READ_WRITE = 0o006


class PlannedDevices(msgspec.Struct, frozen=True, kw_only=True):
    """devices: the devices of the specification. names: UUID -> CDI name. notes: a sentence for each skipped or renamed device."""

    devices: tuple[CdiDevice, ...] = ()
    names: Mapping[str, str] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()


class SkippedDeviceError(Exception):
    """Why a device has no CDI device: the second half of a sentence."""


def plan_devices(inventory: Inventory, nodes: DeviceNodes, options: CdiOptions) -> PlannedDevices:
    """Builds the devices of all GPUs and MIG devices. Skips the devices whose device nodes are missing.

    A GPU in MIG mode has a device of its own only with the option `has_mig_parents`.
    """
    devices: list[CdiDevice] = []
    names: dict[str, str] = {}
    notes: list[str] = []
    for gpu, mig in _gpus_and_mig_devices(inventory, options):
        uuid, index = (gpu.uuid, str(gpu.index)) if mig is None else (mig.uuid, f"{gpu.index}:{mig.slot}")
        name = uuid if options.id_strategy == "uuid" and is_device_name(uuid) else index
        try:
            devices.append(CdiDevice(name=name, edits=_edits(gpu, mig, nodes, options)))
        except SkippedDeviceError as why:
            notes.append(f"Device {index} ({uuid}) has no CDI device: {why}.")
            continue
        names[uuid] = name
        if not is_device_name(uuid) and options.id_strategy == "uuid":
            notes.append(f"Device {index}: the CDI name is its index, because {uuid!r} is not a valid CDI device name.")
    return PlannedDevices(devices=tuple(devices), names=names, notes=tuple(notes))


def node_edits(paths: Iterable[str], nodes: DeviceNodes, options: CdiOptions) -> Edits:
    """Adds the existing device nodes, and the groups that are needed to open nodes without access for all users."""
    existing = [(path, nodes.nodes[path]) for path in paths if path in nodes.nodes]
    gids = [node.gid for _, node in existing if node.gid and node.mode & _WORLD_READ_WRITE != _WORLD_READ_WRITE]
    return Edits(
        device_nodes=tuple(_node(path, path, nodes, options) for path, _ in existing),
        additional_gids=() if NO_GIDS in options.feature_flags else tuple(dict.fromkeys(gids)),
    )


def _gpus_and_mig_devices(inventory: Inventory, options: CdiOptions) -> Iterator[tuple[Gpu, MigDevice | None]]:
    for gpu in inventory.gpus:
        if gpu.mig_enabled:
            yield from ((gpu, mig) for mig in gpu.mig_devices)
        if not gpu.mig_enabled or options.has_mig_parents:
            yield gpu, None


def _edits(gpu: Gpu, mig: MigDevice | None, nodes: DeviceNodes, options: CdiOptions) -> Edits:
    """Raises LeftOut."""
    if gpu.minor is None:
        raise SkippedDeviceError("NVML does not report the minor number of the GPU's device node")
    paths = [f"/dev/nvidia{gpu.minor}", *(() if mig is None else _capabilities(gpu.minor, mig, nodes))]
    for path in paths:
        if path not in nodes.nodes:
            raise SkippedDeviceError(
                f"the device node {options.roots.dev_path(path)} does not exist; run nvidia-smi or nvidia-modprobe to create it"
            )
    has_graphics = mig is None or "gfx" in (mig.profile or "")
    graphics = _graphics(gpu, nodes, options) if has_graphics else Edits()
    monitor = nodes.caps.node(MONITOR) if mig is None and gpu.mig_enabled else None
    return merge([node_edits([*paths, *([monitor] if monitor else [])], nodes, options), graphics])


def _capabilities(minor: int, mig: MigDevice, nodes: DeviceNodes) -> Iterator[str]:
    """Raises LeftOut."""
    for capability in mig_capabilities(minor, mig.gpu_instance, mig.compute_instance):
        path = nodes.caps.node(capability)
        if path is None:
            raise SkippedDeviceError(f"{MIG_MINORS} does not list {capability}")
        yield path


def _graphics(gpu: Gpu, nodes: DeviceNodes, options: CdiOptions) -> Edits:
    """Adds DRM nodes and their by-path names: links that a hook creates, or additional nodes without the hook."""
    drm = () if gpu.address is None else nodes.drm.get(gpu.address, ())
    names = [f"pci-{gpu.address}-{kind}" for kind in ("card", "render")]
    links = [(name, path) for name in names if (path := nodes.by_path.get(name)) in drm and path in nodes.nodes]
    plain = node_edits(drm, nodes, options)
    if has_hook(options, LINKS):
        targets = [(f"../{path.rpartition('/')[2]}", f"{BY_PATH}/{name}") for name, path in links]
        return merge([plain, Edits(hooks=link_hook(options, targets))])
    more = tuple(_node(f"{BY_PATH}/{name}", path, nodes, options) for name, path in links)
    return merge([plain, Edits(device_nodes=more)])


def _node(place: str, path: str, nodes: DeviceNodes, options: CdiOptions) -> DeviceNodeEdit:
    node = nodes.nodes[path]
    return DeviceNodeEdit(
        path=place,
        host_path=options.roots.dev_path(path),
        major=node.major,
        minor=node.minor,
        file_mode=node.mode,
        gid=node.gid,
    )

"""What a container gets for one GPU or one MIG device: device nodes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from device_plugin.cdi.hooks import LINKS, has_hook, link_hook
from device_plugin.cdi.options import NO_GIDS, CdiOptions
from node_core.domain.cdi import CdiDevice, DeviceNodeEdit, Edits, is_device_name, merge
from node_core.domain.inventory import Gpu, Inventory, MigDevice
from node_core.host.device_nodes import BY_PATH, DeviceNodes
from node_core.host.mig_caps import MIG_MINORS, mig_capabilities

_WORLD_READ_WRITE = 0o006


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """devices: what a spec has. names: UUID -> CDI name. notes: a sentence for each device that is left out or has another name."""

    devices: tuple[CdiDevice, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class LeftOut(Exception):  # noqa: N818 - it says what becomes of a device
    """Why a device is in no spec: the end of a sentence."""


def plan_devices(inventory: Inventory, nodes: DeviceNodes, options: CdiOptions) -> Devices:
    """All GPUs without MIG and all MIG devices. One that lacks a node is left out alone."""
    devices: list[CdiDevice] = []
    names: dict[str, str] = {}
    notes: list[str] = []
    for gpu, mig in _all(inventory):
        uuid, index = (gpu.uuid, str(gpu.index)) if mig is None else (mig.uuid, f"{gpu.index}:{mig.slot}")
        name = uuid if options.id_strategy == "uuid" and is_device_name(uuid) else index
        try:
            devices.append(CdiDevice(name=name, edits=_edits(gpu, mig, nodes, options)))
        except LeftOut as why:
            notes.append(f"Device {index} ({uuid}) is in no CDI spec: {why}.")
            continue
        names[uuid] = name
        if not is_device_name(uuid) and options.id_strategy == "uuid":
            notes.append(f"Device {index} is called so in CDI specs: {uuid!r} is no name there.")
    return Devices(devices=tuple(devices), names=names, notes=tuple(notes))


def node_edits(paths: Iterable[str], nodes: DeviceNodes, options: CdiOptions) -> Edits:
    """Of those paths that have a node. A group that alone may open one is joined."""
    found = [(path, nodes.nodes[path]) for path in paths if path in nodes.nodes]
    closed = [node.gid for _, node in found if node.gid and node.mode & _WORLD_READ_WRITE != _WORLD_READ_WRITE]
    return Edits(
        device_nodes=tuple(_node(path, path, nodes, options) for path, _ in found),
        additional_gids=() if NO_GIDS in options.feature_flags else tuple(dict.fromkeys(closed)),
    )


def _all(inventory: Inventory) -> Iterator[tuple[Gpu, MigDevice | None]]:
    for gpu in inventory.gpus:
        if gpu.mig_enabled:
            yield from ((gpu, mig) for mig in gpu.mig_devices)
        else:
            yield gpu, None


def _edits(gpu: Gpu, mig: MigDevice | None, nodes: DeviceNodes, options: CdiOptions) -> Edits:
    """Raises LeftOut."""
    if gpu.minor is None:
        raise LeftOut("NVML does not say which device node is its GPU's")
    paths = [f"/dev/nvidia{gpu.minor}", *(() if mig is None else _capabilities(gpu.minor, mig, nodes))]
    for path in paths:
        if path not in nodes.nodes:
            raise LeftOut(
                f"there is no device node {options.roots.dev_path(path)}; `nvidia-smi` or nvidia-modprobe makes it"
            )
    has_graphics = mig is None or "gfx" in (mig.profile or "")
    graphics = _graphics(gpu, nodes, options) if has_graphics else Edits()
    return merge([node_edits(paths, nodes, options), graphics])


def _capabilities(minor: int, mig: MigDevice, nodes: DeviceNodes) -> Iterator[str]:
    """Raises LeftOut."""
    for capability in mig_capabilities(minor, mig.gpu_instance, mig.compute_instance):
        path = nodes.caps.node(capability)
        if path is None:
            raise LeftOut(f"{MIG_MINORS} has no {capability}")
        yield path


def _graphics(gpu: Gpu, nodes: DeviceNodes, options: CdiOptions) -> Edits:
    """DRM nodes, and the links that say which GPU they are of: made by a hook, or else as more nodes of the same device."""
    drm = () if gpu.address is None else nodes.drm.get(gpu.address, ())
    wanted = [f"pci-{gpu.address}-{kind}" for kind in ("card", "render")]
    links = [(name, nodes.by_path[name]) for name in wanted if nodes.by_path.get(name) in drm]
    links = [(name, path) for name, path in links if path in nodes.nodes]
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

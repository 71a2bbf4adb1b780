"""The device list strategies: the ways to pass devices to a container runtime. Several strategies can be active at once. PURE.

Sources: k8s-device-plugin README, "deviceListStrategy"; NVIDIA Container Toolkit, environment variables and volume mounts;
the Container Device Interface, annotations; CUDA Multi-Process Service, environment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from device_plugin.allocate.response import (
    VISIBLE_DEVICES,
    AllocationError,
    DeviceNode,
    IdStrategy,
    Mount,
    Response,
    Strategy,
)
from device_plugin.devices import Device
from gpu_core.cdi.kinds import IMEX_CHANNEL_PATH, CdiClass, qualified_name
from gpu_core.domain.cdi import ALL
from gpu_core.mps.spec import MpsAccess

DeviceList = Literal["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"]
CDI_LISTS: frozenset[DeviceList] = frozenset({"cdi-annotations", "cdi-cri"})

MOUNTS = "/var/run/nvidia-container-devices"
"""The toolkit reads device names from mounts below this folder if it does not trust environment variables."""
OPTIONAL = {"gdrcopy": "NVIDIA_GDRCOPY", "gds": "NVIDIA_GDS", "mofed": "NVIDIA_MOFED"}
"""CDI class -> the environment variable that enables the same devices in NVIDIA's container runtime."""
AUTO: Literal["auto"] = "auto"
"""The device list strategy depends on the Node's kubelet and runtime; see `choose`."""


class ResponseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How Allocate responses pass devices to containers.

    lists: device list strategies, at least one. cdi_names: class -> device id -> name in a written CDI specification. device_specs: also
    pass device nodes. control_nodes: the existing device nodes that every GPU container needs. dev_root: the host folder that contains
    `dev`. imex_channels: the existing channels. optional: the enabled keys of OPTIONAL. mps: None without MPS.
    """

    lists: tuple[DeviceList, ...] = ("envvar",)
    id_strategy: IdStrategy = "uuid"
    cdi_names: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    annotation_prefix: str = "cdi.k8s.io/"
    device_specs: bool = False
    control_nodes: tuple[str, ...] = ()
    dev_root: str = "/"
    imex_channels: tuple[int, ...] = ()
    optional: tuple[str, ...] = ()
    mps: MpsAccess | None = None


def build_strategies(options: ResponseOptions, token: Callable[[], str]) -> tuple[Strategy, ...]:
    """Builds the active strategies. If two strategies set the same variable, the later one wins. token: a unique name for an annotation."""
    return tuple(_strategies(options, token))


def _strategies(options: ResponseOptions, token: Callable[[], str]) -> Iterator[Strategy]:
    if "envvar" in options.lists:
        yield lambda devices: _environment(devices, options)
    if "volume-mounts" in options.lists:
        yield lambda devices: _mounts(devices, options)
    if "cdi-annotations" in options.lists:
        yield lambda devices: _annotations(devices, options, token())
    if "cdi-cri" in options.lists:
        yield lambda devices: Response(cdi_devices=_cdi_names(devices, options))
    if options.device_specs and not CDI_LISTS.issuperset(options.lists):
        yield lambda devices: _device_specs(devices, options)
    if options.optional:
        yield lambda _: Response(env={OPTIONAL[name]: "enabled" for name in options.optional})
    if (mps := options.mps) is not None:
        yield lambda _: _mps(mps)


def _names(devices: Sequence[Device], options: ResponseOptions) -> tuple[str, ...]:
    """Returns the names of the devices without duplicates. All replicas of a device have the name of the device."""
    names = (device.uuid if options.id_strategy == "uuid" else device.index for device in devices)
    return tuple(dict.fromkeys(names))


def _environment(devices: Sequence[Device], options: ResponseOptions) -> Response:
    channels = ",".join(map(str, options.imex_channels))
    imex = {"NVIDIA_IMEX_CHANNELS": channels} if channels else {}
    return Response(env={VISIBLE_DEVICES: ",".join(_names(devices, options)), **imex})


def _mounts(devices: Sequence[Device], options: ResponseOptions) -> Response:
    channels = (f"imex/{channel}" for channel in options.imex_channels)
    return Response(
        env={VISIBLE_DEVICES: MOUNTS},
        mounts=tuple(
            Mount(host_path="/dev/null", container_path=f"{MOUNTS}/{name}")
            for name in (*_names(devices, options), *channels)
        ),
    )


def _annotations(devices: Sequence[Device], options: ResponseOptions, token: str) -> Response:
    names = _cdi_names(devices, options)
    key = f"{options.annotation_prefix}nvidia-device-plugin_{token}"
    return Response(annotations={key: ",".join(names)} if names else {})


def _cdi_names(devices: Sequence[Device], options: ResponseOptions) -> tuple[str, ...]:
    """Raises AllocationError for a device without a CDI name, because the container runtime's own error would be less specific."""
    gpus, channels = options.cdi_names.get(CdiClass.GPU, {}), options.cdi_names.get(CdiClass.IMEX_CHANNEL, {})
    for device in devices:
        if device.uuid not in gpus:
            why = f"no CDI specification contains a device for {device.uuid}: see the log of the plugin"
            raise AllocationError("FAILED_PRECONDITION", why)
    return (
        *dict.fromkeys(qualified_name(CdiClass.GPU, gpus[device.uuid]) for device in devices),
        *(
            qualified_name(CdiClass.IMEX_CHANNEL, channels[name])
            for name in map(str, options.imex_channels)
            if name in channels
        ),
        *(qualified_name(name, ALL) for name in options.optional if name in options.cdi_names),
    )


def _device_specs(devices: Sequence[Device], options: ResponseOptions) -> Response:
    channels = (f"{IMEX_CHANNEL_PATH}{channel}" for channel in options.imex_channels)
    own = (path for device in devices for path in device.paths)
    paths = dict.fromkeys((*options.control_nodes, *own, *channels))
    root = options.dev_root.rstrip("/")
    return Response(devices=tuple(DeviceNode(container_path=path, host_path=root + path) for path in paths))


def _mps(mps: MpsAccess) -> Response:
    return Response(
        env={"CUDA_MPS_PIPE_DIRECTORY": mps.container_pipe},
        mounts=(
            Mount(host_path=mps.pipe, container_path=mps.container_pipe),
            Mount(host_path=mps.shm, container_path="/dev/shm"),  # noqa: S108  # nosec B108 # in the container
        ),
    )

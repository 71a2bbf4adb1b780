"""The ways to tell a container runtime about devices, each a Strategy; several may be asked for at once. PURE.

Sources: k8s-device-plugin README, "deviceListStrategy"; NVIDIA Container Toolkit, environment variables and volume mounts;
the Container Device Interface, annotations; CUDA Multi-Process Service, environment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from device_plugin.allocate.respond import (
    VISIBLE_DEVICES,
    AllocationError,
    DeviceNode,
    IdStrategy,
    Mount,
    Response,
    Strategy,
)
from device_plugin.cdi.kinds import CdiClass, qualified_name
from device_plugin.devices import Device
from node_core.domain.cdi import ALL

DeviceList = Literal["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"]
DEVICE_LISTS: tuple[DeviceList, ...] = get_args(DeviceList)
CDI_LISTS: frozenset[DeviceList] = frozenset({"cdi-annotations", "cdi-cri"})

MOUNTS = "/var/run/nvidia-container-devices"
"""A mount below it names a device, as the toolkit reads it where the environment is not trusted."""
CONTROL_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")
IMEX_NODES = "/dev/nvidia-caps-imex-channels/channel"
OPTIONAL = {"gdrcopy": "NVIDIA_GDRCOPY", "gds": "NVIDIA_GDS", "mofed": "NVIDIA_MOFED"}
"""CDI class -> the variable that asks NVIDIA's runtime for the same."""
AUTO: Literal["auto"] = "auto"
"""The device list strategy that the Node's kubelet and runtime decide; see `choose`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsAccess:
    """Where containers meet the MPS daemon of their resource. pipe, shm: directories on the host. inside: of the pipe, in a container."""

    pipe: str
    shm: str
    inside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How containers are told of their devices.

    lists: device list strategies, at least one. cdi_names: class -> id of a device -> its name in a CDI spec that was written.
    device_specs: pass device nodes too. control_nodes: those that every GPU container needs and that exist. dev_root: the host
    folder that holds `dev`. imex_channels: those that exist. optional: of OPTIONAL, what is asked for. mps: None without MPS.
    """

    lists: tuple[DeviceList, ...] = ("envvar",)
    id_strategy: IdStrategy = "uuid"
    cdi_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    annotation_prefix: str = "cdi.k8s.io/"
    device_specs: bool = False
    control_nodes: tuple[str, ...] = ()
    dev_root: str = "/"
    imex_channels: tuple[int, ...] = ()
    optional: tuple[str, ...] = ()
    mps: MpsAccess | None = None

    @property
    def cdi_alone(self) -> bool:
        return CDI_LISTS.issuperset(self.lists)


def build_strategies(how: Answering, token: Callable[[], str]) -> tuple[Strategy, ...]:
    """All that is asked for; later ones win where they set the same variable. token: a new name each call, for an annotation."""
    return tuple(_asked(how, token))


def _asked(how: Answering, token: Callable[[], str]) -> Iterator[Strategy]:
    if "envvar" in how.lists:
        yield lambda devices: _environment(devices, how)
    if "volume-mounts" in how.lists:
        yield lambda devices: _mounts(devices, how)
    if "cdi-annotations" in how.lists:
        yield lambda devices: _annotations(devices, how, token())
    if "cdi-cri" in how.lists:
        yield lambda devices: Response(cdi_devices=_cdi_names(devices, how))
    if how.device_specs and not how.cdi_alone:
        yield lambda devices: _device_specs(devices, how)
    if how.optional:
        yield lambda _: Response(env={OPTIONAL[name]: "enabled" for name in how.optional})
    if (mps := how.mps) is not None:
        yield lambda _: _mps(mps)


def _names(devices: Sequence[Device], how: Answering) -> tuple[str, ...]:
    """What the devices are called, each once: replicas of one device have its name."""
    named = (device.uuid if how.id_strategy == "uuid" else device.index for device in devices)
    return tuple(dict.fromkeys(named))


def _environment(devices: Sequence[Device], how: Answering) -> Response:
    channels = ",".join(map(str, how.imex_channels))
    imex = {"NVIDIA_IMEX_CHANNELS": channels} if channels else {}
    return Response(env={VISIBLE_DEVICES: ",".join(_names(devices, how)), **imex})


def _mounts(devices: Sequence[Device], how: Answering) -> Response:
    channels = (f"imex/{channel}" for channel in how.imex_channels)
    return Response(
        env={VISIBLE_DEVICES: MOUNTS},
        mounts=tuple(
            Mount(host_path="/dev/null", container_path=f"{MOUNTS}/{name}")
            for name in (*_names(devices, how), *channels)
        ),
    )


def _annotations(devices: Sequence[Device], how: Answering, token: str) -> Response:
    key = f"{how.annotation_prefix}nvidia-device-plugin_{token}"
    return Response(annotations={key: ",".join(_cdi_names(devices, how))})


def _cdi_names(devices: Sequence[Device], how: Answering) -> tuple[str, ...]:
    """Raises AllocationError for a device that no spec has: the runtime would fail the container with less to say."""
    gpus, channels = how.cdi_names.get(CdiClass.GPU, {}), how.cdi_names.get(CdiClass.IMEX_CHANNEL, {})
    for device in devices:
        if device.uuid not in gpus:
            why = f"no CDI specification in use has a device for {device.uuid}: see the log of the plugin"
            raise AllocationError("FAILED_PRECONDITION", why)
    named = dict.fromkeys(qualified_name(CdiClass.GPU, gpus[device.uuid]) for device in devices)
    return (
        *named,
        *(
            qualified_name(CdiClass.IMEX_CHANNEL, channels[name])
            for name in map(str, how.imex_channels)
            if name in channels
        ),
        *(qualified_name(name, ALL) for name in how.optional if name in how.cdi_names),
    )


def _device_specs(devices: Sequence[Device], how: Answering) -> Response:
    channels = (f"{IMEX_NODES}{channel}" for channel in how.imex_channels)
    own = (path for device in devices for path in device.paths)
    paths = dict.fromkeys((*how.control_nodes, *own, *channels))
    root = how.dev_root.rstrip("/")
    return Response(devices=tuple(DeviceNode(container_path=path, host_path=root + path) for path in paths))


def _mps(mps: MpsAccess) -> Response:
    return Response(
        env={"CUDA_MPS_PIPE_DIRECTORY": mps.inside},
        mounts=(
            Mount(host_path=mps.pipe, container_path=mps.inside),
            Mount(host_path=mps.shm, container_path="/dev/shm"),  # noqa: S108  # nosec B108 # in the container
        ),
    )

"""A simulated node for attempts: NVML, users of devices, pods, resets and a journal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.mig.config import ConfigEntry, MigConfigs
from gpu_core.mig.generated import generate_configs
from gpu_core.mig.model import MigGpu
from gpu_core.mig.plan import Layout, read_layout
from gpu_core.mig.select import select_layouts
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.mig_reader import read_mig_gpus
from gpu_core.nvml.source import RELEASED
from mig_manager.busy_policy import BusyPolicy
from mig_manager.changer import LayoutChanger
from mig_manager.clients import OtherClients
from mig_manager.journal import Journal
from mig_manager.outcome import Outcome, Request
from mig_manager.policy import Holder, Usage
from mig_manager.reboot import RebootPolicy
from mig_manager.surroundings import Surroundings
from node_core.errors import KubeError, MigError, NvmlError
from simulation.node import SimulatedNode
from simulation.scenarios.scenario import parse_scenario

POD = Holder(namespace="ml", pod="train-0")
MIXED = ConfigEntry(is_enabled=True, mig_devices={"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1})
CONFIGS: MigConfigs = {
    "mixed": (MIXED,),
    "both": (ConfigEntry(devices=(0, 1), is_enabled=True),),
    "first": (ConfigEntry(devices=(0,), is_enabled=True, mig_devices={"1g.10gb": 7}),),
}


CHANGING = (
    "device_set_mig",
    "device_create",
    "gpu_instance_destroy",
    "gpu_instance_create",
    "compute_instance_destroy",
)
"""The calls of NVML that change something. A process that ends at another call leaves what it would leave at the next of these."""


class Killed(BaseException):
    """The process ends at once. No `except` clause of the product catches this exception."""


@dataclass
class Place:
    """journal: its file. users: the users of each device. error: raised in place of the change with the number `breaks_at`."""

    journal: Path
    compute: str = "9.0"
    gpus: int = 2
    mode: str = "enabled"
    users: dict[str, tuple[Holder, ...]] = field(default_factory=dict)
    refuse: KubeError | None = None
    reset_error: MigError | None = None
    reboot: RebootPolicy | None = None
    clients: OtherClients = field(default_factory=OtherClients)
    breaks_at: int = 0
    error: BaseException = field(default_factory=Killed)
    is_released: bool = False
    calls: list[str] = field(default_factory=list)
    leaving: list[frozenset[str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    reads: int = 0

    def __post_init__(self) -> None:
        model = "NVIDIA H100 80GB HBM3" if self.compute == "9.0" else "NVIDIA A100-SXM4-80GB"
        gpu = {
            "model": model, "count": self.gpus, "memory": "81559Mi", "compute": self.compute, "device_id": "2330",
            "mig": {"mode": self.mode},
        }  # fmt: skip
        scenario = {"driver": {"version": "570.1", "cuda": "12.8"}, "gpus": [gpu]}
        self._node = SimulatedNode(parse_scenario("test", scenario, source="test"))
        self._open = self._node.open_nvml

    def changer(self) -> LayoutChanger:
        """A new process: what the previous one knew is gone."""
        surroundings = Surroundings(
            open_nvml=self.open_nvml,
            discover=self.discover,
            select=lambda name, gpus: select_layouts({**generate_configs(gpus), **CONFIGS}, name, gpus),
            read_usage_of=self._read_usage,
            set_leaving=self._set_leaving,
            reset=self._reset,
            pods=lambda: self,
            journal=Journal(self.journal),
            reboot=self.reboot,
            clients=self.clients,
        )
        return LayoutChanger(surroundings, lambda: None)

    def apply(self, config: str | None, policy: BusyPolicy = BusyPolicy.WAIT, *, is_overdue: bool = False) -> Outcome:
        return self.changer().run(Request(config=config, policy=policy, is_overdue=is_overdue))

    def read(self) -> tuple[MigGpu, ...]:
        with self._open() as nvml:
            return read_mig_gpus(nvml)[0]

    @property
    def layouts(self) -> tuple[Layout, ...]:
        return tuple(map(read_layout, self.read()))

    @property
    def uuids(self) -> list[str]:
        return [str(each.uuid) for gpu in self.read() for instance in gpu.instances for each in instance.compute]

    def discover(self) -> Inventory:
        return read_inventory(self._open, lambda _: None)

    @contextmanager
    def open_nvml(self) -> Iterator[Nvml]:
        if self.is_released:
            raise NvmlError("NVML", RELEASED)
        with self._open() as nvml:
            counting: Any = _Counting(self, nvml)
            yield counting

    def count(self, name: str) -> None:
        if name.startswith(CHANGING):
            self.calls.append(name)
            if len(self.calls) == self.breaks_at:
                raise self.error

    def evict(self, namespace: str, name: str) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.removed.append(f"evicted {namespace}/{name}")

    def delete(self, namespace: str, name: str) -> None:
        self.removed.append(f"deleted {namespace}/{name}")

    def _read_usage(self, _: Nvml, gpus: Iterable[Gpu]) -> Usage:
        self.reads += 1
        known = {str(gpu.uuid) for gpu in gpus} | {str(mig.uuid) for gpu in gpus for mig in gpu.mig_devices}
        return {uuid: users for uuid, users in self.users.items() if uuid in known}

    def _set_leaving(self, uuids: frozenset[str]) -> None:
        if not self.leaving or self.leaving[-1] != uuids:
            self.leaving.append(uuids)

    def reset_all(self) -> None:
        """What a reboot does to the GPUs."""
        self._node.reset_gpus(self.read())

    def _reset(self, gpus: Sequence[MigGpu]) -> None:
        if self.reset_error is not None:
            raise self.reset_error
        self._node.reset_gpus(gpus)
        self.calls.append(f"reset {', '.join(str(gpu.index) for gpu in gpus)}")


class _Counting:
    def __init__(self, place: Place, nvml: Nvml) -> None:
        self._place, self._nvml = place, nvml

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self._place.count(name)
            return getattr(self._nvml, name)(*arguments, **more)

        return call

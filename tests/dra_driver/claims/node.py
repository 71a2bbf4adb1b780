"""A simulated node for claims: NVML of a scenario, an API server with claims, and a driver that can be killed at each change."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from dra_driver.claims.hardware import NodeHardware
from dra_driver.claims.holding import Claim, Claims
from dra_driver.claims.mps_daemons import ClaimDaemons, plan_daemon
from dra_driver.claims.preparer import ClaimPreparer
from dra_driver.claims.ref import ClaimRef
from dra_driver.claims.specs import ClaimSpecs
from dra_driver.claims.store import ClaimStore
from dra_driver.claims.surroundings import Surroundings
from dra_driver.claims.time_slices import TimeSlices
from dra_driver.devices.model import Device
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import Spec
from gpu_core.domain.inventory import GpuUuid, Inventory
from gpu_core.host.nvidia_smi import NvidiaSmi, SmiError
from gpu_core.mig.model import MigGpu
from gpu_core.mps.spec import MpsDaemonSpec
from gpu_core.mps.tools import DriverPrograms
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.mig_reader import read_mig_gpus
from node_core.errors import KubeError
from simulation.node import SimulatedNode
from simulation.scenarios.scenario import parse_scenario

POOL = "n1"
CHANGES = ("device_set_mig", "device_create", "gpu_instance_destroy", "gpu_instance_create", "compute_instance_destroy")
"""The calls of NVML that change something."""


class Killed(BaseException):
    """The process ends at once. No `except` clause of the product catches this exception."""


@dataclass
class Node:
    """claims: namespace/name -> JSON of the claims in the API. kill_at: the number of the change at which the process ends, or 0.

    kills_before: the process ends before this change, not after it. has_api: whether the API server responds. now: monotonic
    seconds, which a wait advances. on_wait: called at each wait. cdi: what containers need.
    after_get: called once, after the API server has read a claim. before: called with the number of each change, before the change.
    running: UID of a claim -> its MPS daemon. slices: UUID -> the time slice that nvidia-smi has set. lost: GPUs that nvidia-smi cannot
    change. done: the names of the changes of NVML and of daemons.
    """

    folder: Path
    has_dynamic_mig: bool = True
    mode: str = "disabled"
    gpus: int = 2
    boot: str = "boot-1"
    compute: str = "9.0"
    claims: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    kill_at: int = 0
    kills_before: bool = True
    error: BaseException = field(default_factory=Killed)
    has_api: bool = True
    changes: int = 0
    after_get: Callable[[], object] = lambda: None
    before: Callable[[int], object] = lambda _: None
    reads: int = 0
    now: float = 0.0
    is_simulated: bool = True
    cdi: CdiPlan = field(default_factory=CdiPlan)
    on_wait: Callable[[], object] = lambda: None
    running: dict[str, MpsDaemonSpec] = field(default_factory=dict)
    slices: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        model = "NVIDIA H100 80GB HBM3" if self.compute == "9.0" else "NVIDIA A100-SXM4-80GB"
        gpu = {
            "model": model, "count": self.gpus, "memory": "81559Mi", "compute": self.compute, "device_id": "2330",
            "mig": {"mode": self.mode},
        }  # fmt: skip
        scenario = {"driver": {"version": "570.1", "cuda": "12.8"}, "gpus": [gpu]}
        self._node = SimulatedNode(parse_scenario("test", scenario, source="test"))

    @property
    def preparer(self) -> ClaimPreparer:
        """A new process: what the previous one knew is gone."""
        return ClaimPreparer(
            Surroundings(
                pool=POOL,
                hardware=self.hardware,
                claims=self,
                store=_Store(self.file, self.boot, self.change),
                specs=_Specs(self.folder / "cdi", self.change),
                clock=lambda: self.now,
                sleep=self.wait,
                daemons=_Daemons(self),
                time_slices=TimeSlices(
                    self.folder / "time-slices.json", self.boot, lambda: cast("NvidiaSmi", _Smi(self))
                ),
            )
        )

    @property
    def hardware(self) -> NodeHardware:
        return NodeHardware(self.open_nvml, self.discover, lambda _: self.cdi, has_dynamic_mig=self.has_dynamic_mig)

    @property
    def file(self) -> Path:
        return self.folder / "claims.json"

    @property
    def devices(self) -> Mapping[str, Device]:
        return self.hardware.read().devices

    @property
    def recorded(self) -> Claims:
        return ClaimStore(self.file, self.boot).read().claims

    @property
    def specs(self) -> ClaimSpecs:
        return ClaimSpecs(self.folder / "cdi")

    @property
    def mig_gpus(self) -> tuple[MigGpu, ...]:
        with self._node.open_nvml() as nvml:
            return read_mig_gpus(nvml)[0]

    @property
    def instances(self) -> dict[int, list[tuple[int, int]]]:
        """Index of a GPU -> start and size of its GPU instances."""
        return {
            gpu.index: sorted((each.placement.start, each.placement.size) for each in gpu.instances)
            for gpu in self.mig_gpus
        }

    def allocate(self, name: str, *devices: str, uid: str | None = None, **more: Any) -> ClaimRef:
        """Adds a claim to the API, as the scheduler allocates it. more: additional fields of each result; config: of the allocation."""
        config = more.pop("config", [])
        results = [
            {"request": f"r{number}", "driver": "gpu.nvidia.com", "pool": POOL, "device": device, **more}
            for number, device in enumerate(devices)
        ]
        ref = ClaimRef(namespace="ml", name=name, uid=uid or f"uid-{name}")
        self.claims[str(ref)] = {
            "metadata": {"namespace": "ml", "name": name, "uid": ref.uid},
            "status": {"allocation": {"devices": {"results": results, "config": config}}},
        }
        return ref

    def delete(self, ref: ClaimRef) -> None:
        del self.claims[str(ref)]

    def get(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        self.reads += 1
        if not self.has_api:
            raise KubeError("the API server does not respond")
        found, (after, self.after_get) = self.claims.get(f"{namespace}/{name}"), (self.after_get, lambda: None)
        after()
        return found

    def list_all(self) -> tuple[Mapping[str, Any], ...]:
        if not self.has_api:
            raise KubeError("the API server does not respond")
        return tuple(self.claims.values())

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.on_wait()

    def discover(self) -> Inventory:
        return read_inventory(self._node.open_nvml, lambda _: None, simulated=self.is_simulated)

    def change(self, make: Callable[[], Any]) -> Any:
        """Makes one change, unless the process ends before it."""
        self.changes += 1
        self.before(self.changes)
        if self.changes == self.kill_at and self.kills_before:
            raise self.error
        result = make()
        if self.changes == self.kill_at:
            raise self.error
        return result

    @contextmanager
    def open_nvml(self) -> Iterator[Nvml]:
        with self._node.open_nvml() as nvml:
            yield _Killable(nvml, self)


class _Killable:
    def __init__(self, nvml: Nvml, node: Node) -> None:
        self._nvml, self._node = nvml, node

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._nvml, name)
        if not name.startswith(CHANGES):
            return found
        self._node.done.append(name)
        return lambda *arguments: self._node.change(lambda: found(*arguments))


class _Daemons(ClaimDaemons):
    """Daemons without processes."""

    def __init__(self, node: Node) -> None:
        super().__init__("/run/nvidia/mps", DriverPrograms, lambda: True)
        self._node = node

    def check(self, uid: str, gpus: Iterable[GpuUuid], *, has_mps: bool) -> None:
        pass

    def reconcile(self, claims: Claims) -> None:
        wanted = {
            uid: each for uid, each in self._node.running.items() if uid in claims and not claims[uid].is_prepared
        }
        wanted |= {uid: spec for uid, claim in claims.items() if (spec := plan_daemon(uid, claim))}
        if wanted != self._node.running:
            self._node.done.append("daemons")
            self._node.change(lambda: setattr(self._node, "running", wanted))

    def await_ready(self, uid: str, claim: Claim) -> None:
        assert self._node.running.get(uid) == plan_daemon(uid, claim)

    def stop(self, uid: str, rest: Claims) -> None:
        assert uid not in rest
        self.reconcile(rest)


class _Smi:
    def __init__(self, node: Node) -> None:
        self._node = node

    def run(self, *arguments: str, seconds: float) -> str:
        command, _, gpu, flag, number = arguments
        assert (command, flag, seconds) == ("compute-policy", "--set-timeslice", 20.0)
        if gpu in self._node.lost:
            raise SmiError("Unable to determine the device handle")
        self._node.change(lambda: self._node.slices.update({gpu: number}))
        return ""


class _Store(ClaimStore):
    def __init__(self, path: Path, boot: str, change: Callable[[Callable[[], Any]], Any]) -> None:
        super().__init__(path, boot)
        self._change = change

    def write(self, claims: Claims) -> None:
        self._change(lambda: super(_Store, self).write(claims))


class _Specs(ClaimSpecs):
    def __init__(self, folder: Path, change: Callable[[Callable[[], Any]], Any]) -> None:
        super().__init__(folder)
        self._change = change

    def write(self, uid: str, spec: Spec) -> bool:
        return bool(self._change(lambda: super(_Specs, self).write(uid, spec)))

    def remove(self, uid: str) -> None:
        self._change(lambda: super(_Specs, self).remove(uid))

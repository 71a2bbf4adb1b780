"""What an attempt reads and changes, and what it reports about its progress."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from gpu_core.domain.inventory import Fault, Gpu, GpuUuid, Inventory
from gpu_core.mig.model import MigGpu
from gpu_core.mig.plan import GpuPlan
from gpu_core.mig.planner import DesiredGpu
from gpu_core.nvml.api import Nvml, OpenNvml
from mig_manager.clients import OtherClients
from mig_manager.hooks import HookRunner
from mig_manager.journal import Journal
from mig_manager.pod_removal import PodRemover
from mig_manager.policy import Usage, select_busy
from mig_manager.reboot import RebootPolicy


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """open_nvml: raises NvmlError RELEASED during a release. discover: returns the present inventory; raises NvmlError.

    select: returns the requested layout of each GPU that a config selects; raises MigError, SettingsError or NotReadError.
    read_usage_of: returns the users of the devices of these GPUs; raises MigError.
    set_leaving: publishes the devices that must not get new pods. reset: resets GPUs without users; raises MigError. end_reset: ends the
    release of NVML of a reset that was interrupted. reboot: what to do if a reset is not possible; None for no reboot.
    """

    open_nvml: OpenNvml
    discover: Callable[[], Inventory]
    select: Callable[[str, Sequence[MigGpu]], Mapping[GpuUuid, DesiredGpu]]
    read_usage_of: Callable[[Nvml, Iterable[Gpu]], Usage]
    set_leaving: Callable[[frozenset[str]], None]
    reset: Callable[[Sequence[MigGpu]], None]
    pods: Callable[[], PodRemover]
    journal: Journal
    end_reset: Callable[[], None] = lambda: None
    clients: OtherClients = msgspec.field(default_factory=OtherClients)
    hooks: HookRunner = msgspec.field(default_factory=HookRunner)
    reboot: RebootPolicy | None = None

    def read_usage(self, nvml: Nvml) -> Usage:
        """Returns the users of all GPUs and MIG devices. Raises NodeError."""
        return self.read_usage_of(nvml, self.discover().gpus)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt has to do. plans: only those that are not empty. faults: the GPUs that cannot be read."""

    plans: tuple[GpuPlan, ...] = ()
    usage: Usage
    faults: tuple[Fault, ...] = ()

    @property
    def leaving(self) -> frozenset[str]:
        """The UUIDs of the devices that the plans destroy. A change of the MIG mode needs the whole GPU."""
        modes = (str(plan.gpu.uuid) for plan in self.plans if plan.mode is not None)
        return frozenset((*modes, *(str(uuid) for plan in self.plans for uuid in plan.destroyed_uuids)))

    @property
    def needs_reset(self) -> bool:
        """Whether a GPU must be reset, which needs a GPU without any client."""
        return any(plan.mode is not None and plan.gpu.needs_reset for plan in self.plans)

    @property
    def busy(self) -> Usage:
        return select_busy(self.usage, self.leaving)


class Progress(msgspec.Struct, frozen=True):
    """One step of an attempt. is_changing: whether the attempt changes layouts. waits: seconds that the step may wait for others."""

    step: str = ""
    is_changing: bool = False
    waits: float = 0.0


Report = Callable[[Progress], None]
"""Called in the thread of the attempt at the start of each step."""

"""The desired MPS daemon of a resource, and how containers connect to a daemon. PURE.

Source: NVIDIA MPS documentation, control daemon commands.
"""

import msgspec

from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import ResourceName

MPS_MOUNT = "/mps"
"""The mount path of the MPS root in containers, including the plugin's own container."""
STARTING = "its MPS daemon is starting"


class MpsGpu(msgspec.Struct, frozen=True, kw_only=True):
    """uuid: of a GPU or MIG device. memory_mib: None for no limit. replicas: how many clients share the memory."""

    uuid: GpuUuid
    memory_mib: int | None
    replicas: int


class MpsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The start parameters of a daemon. visible: CUDA_VISIBLE_DEVICES. commands: sent through the control program, in order."""

    visible: str
    commands: tuple[str, ...]


class MpsDaemonSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The desired daemon of one resource.

    gpus: in NVML's order, because the daemon numbers GPUs in this order. threads: percentage for each client; None for an equal share.
    """

    resource: ResourceName
    gpus: tuple[MpsGpu, ...]
    threads: int | None = None

    @property
    def exclusive(self) -> tuple[GpuUuid, ...]:
        """The GPUs whose compute mode allows only the daemon. MIG devices have no compute mode."""
        return tuple(gpu.uuid for gpu in self.gpus if not gpu.uuid.startswith("MIG-"))

    @property
    def settings(self) -> MpsSettings:
        return MpsSettings(visible=",".join(gpu.uuid for gpu in self.gpus), commands=self._commands())

    def _commands(self) -> tuple[str, ...]:
        """Each client gets an equal share of memory, and an equal share of threads on the GPU with the most clients."""
        limits = (
            f"set_default_device_pinned_mem_limit {ordinal} {gpu.memory_mib // gpu.replicas}M"
            for ordinal, gpu in enumerate(self.gpus)
            if gpu.memory_mib
        )
        share = self.threads or 100 // max(gpu.replicas for gpu in self.gpus)
        return (*limits, f"set_default_active_thread_percentage {max(1, share)}")


class MpsAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How containers connect to the MPS daemon of their resource. pipe, shm: host folders. container_pipe: the mount path of the pipe."""

    pipe: str
    shm: str
    container_pipe: str


def mps_access(resource: ResourceName, host_root: str) -> MpsAccess:
    """Returns the paths through which containers connect to the daemon. host_root: the MPS root on the host (--mps-root)."""
    root = host_root.rstrip("/")
    return MpsAccess(pipe=f"{root}/{resource}/pipe", shm=f"{root}/shm", container_pipe=f"{MPS_MOUNT}/{resource}/pipe")

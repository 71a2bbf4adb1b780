"""GPUs of a node, and pods as the kubelet lists them."""

from gpu_core.domain.inventory import Gpu, GpuUuid, MigAttributes, MigDevice, MigUuid
from gpu_core.pods.holders import Holder
from node_core.kubelet.podresources import ClaimedDevice, ContainerDevices, PodDevices

SLICE = MigAttributes(
    memory_mib=9856, multiprocessors=16, gpu_instance_slices=1, compute_instance_slices=1,
    copy_engines=1, decoders=1, encoders=0, jpeg_engines=1, ofa_engines=0,
)  # fmt: skip


def uuid(number: int) -> str:
    return f"{number:08d}-0000-0000-0000-{number:012d}"


def mig(
    number: int, gpu_instance: int, profile: str | None = "1g.10gb", *, compute_instance: int = 0, start: int | None = 0
) -> MigDevice:
    return MigDevice(
        uuid=MigUuid(f"MIG-{uuid(number)}"),
        slot=gpu_instance,
        gpu_instance=gpu_instance,
        compute_instance=compute_instance,
        profile=profile,
        attributes=SLICE,
        start=start,
    )


def gpu(index: int, *migs: MigDevice, minor: int | None = -1) -> Gpu:
    """A GPU whose minor number differs from its index."""
    return Gpu(
        index=index,
        uuid=GpuUuid(f"GPU-{uuid(index)}"),
        minor=index + 4 if minor == -1 else minor,
        model="NVIDIA H100 80GB HBM3",
        memory_bytes=80 << 30,
        compute=None,
        address=None,
        mig_capable=True,
        mig_enabled=bool(migs),
        mig_devices=migs,
    )


def pod(name: str, *devices: str, claimed: tuple[ClaimedDevice, ...] = (), sidecar: bool = False) -> PodDevices:
    """A pod in the namespace `team`, whose container `main` has the devices."""
    main = ContainerDevices(name="main", devices=frozenset(devices), claimed=claimed)
    others = (ContainerDevices(name="sidecar"),) if sidecar else ()
    return PodDevices(namespace="team", name=name, containers=(main, *others))


def holder(name: str, container: str = "main") -> Holder:
    return Holder(pod=name, namespace="team", container=container)

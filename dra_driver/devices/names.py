"""Names of devices, in the form of NVIDIA's DRA driver: DNS labels that stay the same while the hardware does."""

from gpu_core.domain.inventory import Gpu
from gpu_core.mig.model import InstanceProfile


def gpu_device_name(gpu: Gpu) -> str:
    """Returns `gpu-3` for /dev/nvidia3. A GPU without a device file has its index as number."""
    return f"gpu-{gpu.index if gpu.minor is None else gpu.minor}"


def mig_device_name(gpu: Gpu, profile: InstanceProfile, start: int) -> str:
    """Returns `gpu-0-mig-1g10gb-19-4`: the profile, its id on this board, and the first memory slice."""
    return f"{gpu_device_name(gpu)}-mig-{_label(profile.name)}-{profile.board_id}-{start}"


def shared_mig_device_name(gpu: Gpu, profile: InstanceProfile, start: int, device: str, compute_instance: int) -> str:
    """Returns `gpu-0-mig-1c3g40gb-9-4-c1`: one of several MIG devices in one GPU instance. device: the profile of the MIG device."""
    return f"{gpu_device_name(gpu)}-mig-{_label(device)}-{profile.board_id}-{start}-c{compute_instance}"


def _label(profile: str) -> str:
    """`1g.10gb+me` and `1g.10gb-me` both become `1g10gb-me`. Their ids differ."""
    return profile.replace(".", "").replace("+", "-")

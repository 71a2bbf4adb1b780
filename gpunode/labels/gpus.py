"""Sentences about the GPUs of a node. PURE."""

from collections import Counter

from gpu_core.domain.inventory import Inventory


def describe_gpus(inventory: Inventory) -> str:
    """Returns the models and their number, and how many GPUs are in MIG mode with which profiles."""
    models = Counter(gpu.model for gpu in inventory.gpus)
    shown = ", ".join(f"{count} x {model}" for model, count in sorted(models.items()))
    enabled = [gpu for gpu in inventory.gpus if gpu.mig_enabled]
    profiles = Counter(device.profile or "unknown" for gpu in enabled for device in gpu.mig_devices)
    devices = ", ".join(f"{count} x {profile}" for profile, count in sorted(profiles.items()))
    mig = f"{len(enabled)} of {len(inventory.gpus)} in MIG mode" + (f" with {devices}" if devices else "")
    return f"GPUs: {shown}; {mig}"

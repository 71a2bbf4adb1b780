"""Layouts and plans as documents for programs: `-o json` and `-o yaml`. PURE."""

from collections.abc import Sequence
from typing import Any

from gpu_core.mig.layout import count_addable, list_free_slices
from gpu_core.mig.model import GpuInstance, MigGpu, Placement
from gpunode.mig.changes import Action, Change, device_names
from gpunode.mig.read import MigNode, Users


def layout_document(node: MigNode) -> dict[str, Any]:
    return {
        "simulated": node.is_simulated,
        "gpus": [_gpu(gpu, node.users) for gpu in node.gpus],
        "unreadable": [{"index": each.index, "uuid": each.uuid, "why": each.reason} for each in node.faults],
    }


def plan_document(node: MigNode, config: str, changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "simulated": node.is_simulated,
        "config": config,
        "isApplied": all(change.action is Action.RETAIN for change in changes),
        "changes": [_change(change) for change in changes],
    }


def _gpu(gpu: MigGpu, users: Users) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "model": gpu.model,
        "pciId": gpu.pci_id,
        "migEnabled": gpu.is_enabled,
        "migPending": gpu.is_pending,
        "freeSlices": list(list_free_slices(gpu)),
        "roomFor": dict(count_addable(gpu)),
        "instances": [_instance(gpu, each, users) for each in gpu.instances],
    }


def _instance(gpu: MigGpu, instance: GpuInstance, users: Users) -> dict[str, Any]:
    names, profile = device_names(gpu), gpu.profile(instance.profile)
    devices = [
        {
            "device": names.get((instance.profile, each.profile)),
            "computeInstance": each.id,
            "uuid": each.uuid,
            "users": list(users.get(each.uuid or "", ())),
        }
        for each in instance.compute
    ]
    return {
        "gpuInstance": instance.id,
        "profile": profile and profile.name,
        "placement": _placement(instance.placement),
        "devices": devices,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "gpu": change.gpu.index,
        "gpuUuid": change.gpu.uuid,
        "action": str(change.action),
        "device": change.device or None,
        "placement": change.placement and _placement(change.placement),
        "uuid": change.uuid,
        "users": list(change.users),
    }


def _placement(placement: Placement) -> dict[str, int]:
    return {"start": placement.start, "size": placement.size}

"""Describes the links and an allocation as a document for JSON and YAML. PURE."""

from typing import Any

from device_plugin.devices import Device
from gpu_core.domain.inventory import Gpu
from gpunode.topo.allocation import Allocation
from gpunode.topo.links import Pair, Topology


def describe_document(topology: Topology, allocation: Allocation | None) -> dict[str, Any]:
    request = {} if allocation is None else {"request": _describe_allocation(allocation)}
    return {
        "simulated": topology.is_simulated,
        "gpus": [_describe_gpu(gpu, topology) for gpu in topology.gpus],
        "links": [_describe_pair(pair) for pair in topology.pairs],
        "unreadable": [{"index": each.index, "uuid": each.uuid, "why": each.reason} for each in topology.faults],
        **request,
    }


def _describe_gpu(gpu: Gpu, topology: Topology) -> dict[str, Any]:
    fabric = gpu.fabric and {"clusterUuid": gpu.fabric.cluster_uuid, "clique": gpu.fabric.clique}
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "model": gpu.model,
        "pci": gpu.address,
        "numaNode": gpu.numa_node,
        "cpus": None if gpu.numa_node is None else topology.cpus.get(gpu.numa_node),
        "switchLinks": gpu.switch_links,
        "fabric": fabric,
        "migEnabled": gpu.mig_enabled,
        "migDevices": [
            {"uuid": each.uuid, "profile": each.profile, "gpuInstance": each.gpu_instance} for each in gpu.mig_devices
        ],
    }


def _describe_pair(pair: Pair) -> dict[str, Any]:
    return {
        "gpus": [pair.one.index, pair.other.index],
        "term": pair.term,
        "nvlinks": pair.nvlinks,
        "viaSwitches": pair.switched > 0,
        "pciPath": str(pair.path),
        "score": pair.weight,
    }


def _describe_allocation(allocation: Allocation) -> dict[str, Any]:
    return {
        "resource": allocation.resource,
        "size": allocation.size,
        "devices": [_describe_device(device) for device in allocation.devices],
        "method": allocation.method,
        "score": allocation.score,
        "scoreOfOthers": allocation.left_score,
        "available": [device.id for device in allocation.available],
        "unavailable": [{"id": device.id, "why": why} for device, why in allocation.unavailable],
    }


def _describe_device(device: Device) -> dict[str, Any]:
    return {"id": device.id, "index": device.index, "gpu": device.gpu, "numaNode": device.numa_node}

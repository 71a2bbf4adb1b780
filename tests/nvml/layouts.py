"""Changes MIG layouts by a list of steps, and reads them after each step. `python -m tests.nvml.layouts LIBRARY` uses pynvml.

Standard input has one JSON job a line, and standard output the results of the job as one line.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from gpu_core.domain.inventory import Fault
from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES
from gpu_core.mig.model import Placement
from gpu_core.nvml.api import EventType, Handle, Nvml
from gpu_core.nvml.inventory import read_gpu
from gpu_core.nvml.mig_reader import read_mig_gpus
from gpu_core.nvml.real import open_nvml
from node_core.errors import NvmlError
from node_core.runtime.log import configure_log
from tests.nvml.scenario_lines import VARIABLE

Step = Sequence[Any]
"""A key of CHANGES, the index of the GPU, and arguments."""
MODULE = "tests.nvml.layouts"


def run_steps(nvml: Nvml, steps: Sequence[Step]) -> Any:
    """For each step, and before the first one: the result or the error code, and all layouts."""
    found = [("start", _read(nvml)), *((_run(nvml, *step), _read(nvml)) for step in steps)]
    return msgspec.json.decode(msgspec.json.encode(found))


def _run(nvml: Nvml, kind: str, gpu: int, *arguments: Any) -> Any:
    try:
        return CHANGES[kind](nvml, nvml.device_get_handle_by_index(gpu), *arguments)
    except NvmlError as error:
        return error.call, error.code


def _create(nvml: Nvml, gpu: Handle, number: int, start: int, size: int) -> Any:
    profile = nvml.device_get_gpu_instance_profile_info(gpu, number)
    created = nvml.device_create_gpu_instance(gpu, profile.id, Placement(start=start, size=size))
    return nvml.gpu_instance_get_info(created)


def _destroy(nvml: Nvml, gpu: Handle, at: int) -> Any:
    """at: selects a GPU instance. Returns the error code for its handle after the change."""
    instance = _select(_instances(nvml, gpu), at)
    if instance is None:
        return None
    nvml.gpu_instance_destroy(instance)
    return _try(nvml.gpu_instance_get_info, instance)


def _divide(nvml: Nvml, gpu: Handle, at: int, number: int) -> Any:
    instance = _select(_instances(nvml, gpu), at)
    if instance is None:
        return None
    profile = nvml.gpu_instance_get_compute_instance_profile_info(instance, number)
    compute = nvml.gpu_instance_create_compute_instance(instance, profile.id)
    return profile, nvml.compute_instance_get_info(compute)


def _undivide(nvml: Nvml, gpu: Handle, at: int) -> Any:
    """at: selects a compute instance. Returns the results for the handles of all MIG devices after the change."""
    devices = list(_devices(nvml, gpu))
    compute = _select(_compute_instances(nvml, gpu), at)
    if compute is not None:
        nvml.compute_instance_destroy(compute)
    calls = (nvml.device_get_uuid, nvml.device_get_name, nvml.device_get_memory_info, nvml.device_get_attributes)
    return [[_try(call, each) for call in calls] for each in devices]


def _watch(nvml: Nvml, gpu: Handle, kind: str, *arguments: Any) -> Any:
    """Returns the types of the events of a change, each with whether the event is about the GPU."""
    events = nvml.event_set_create()
    try:
        nvml.device_register_events(gpu, EventType.MIG_CONFIG, events)
        CHANGES[kind](nvml, gpu, *arguments)
        found = [nvml.event_set_wait(events, milliseconds) for milliseconds in (5000, 0)]
        return [None if each is None else (each.type, each.device is gpu) for each in found]
    finally:
        nvml.event_set_free(events)


CHANGES: Mapping[str, Callable[..., Any]] = {
    "mode": lambda nvml, gpu, enabled: nvml.device_set_mig_mode(gpu, enabled),
    "create": _create,
    "destroy": _destroy,
    "divide": _divide,
    "undivide": _undivide,
    "event": _watch,
}


def _select(found: Iterator[Any], at: int) -> Any:
    known = list(found)
    return known[at % len(known)] if known else None


def _instances(nvml: Nvml, gpu: Handle) -> Iterator[Any]:
    for number in GPU_INSTANCE_SLICES:
        try:
            profile = nvml.device_get_gpu_instance_profile_info(gpu, number)
        except NvmlError:
            continue
        yield from nvml.device_get_gpu_instances(gpu, profile.id)


def _compute_instances(nvml: Nvml, gpu: Handle) -> Iterator[Any]:
    for instance in _instances(nvml, gpu):
        for number in COMPUTE_INSTANCE_SLICES:
            try:
                profile = nvml.gpu_instance_get_compute_instance_profile_info(instance, number)
            except NvmlError:
                continue
            yield from nvml.gpu_instance_get_compute_instances(instance, profile.id)


def _devices(nvml: Nvml, gpu: Handle) -> Iterator[Handle]:
    for slot in range(nvml.device_get_max_mig_device_count(gpu)):
        with suppress(NvmlError):
            yield nvml.device_get_mig_device_handle_by_index(gpu, slot)


def _read(nvml: Nvml) -> Any:
    """The layouts, and the MIG devices with their names and memory."""
    devices: list[Any] = []
    for index in range(nvml.device_get_count()):
        reading = read_gpu(nvml, index, lambda _: None)
        if reading is None or isinstance(reading, Fault):
            devices.append(reading)
            continue
        for mig in reading.gpu.mig_devices:
            handle = nvml.device_get_handle_by_uuid(mig.uuid)
            devices.append((mig, nvml.device_get_name(handle), _try(nvml.device_get_memory_info, handle)))
    return read_mig_gpus(nvml), devices


def _try(call: Callable[[Any], Any], handle: Any) -> Any:
    """The result of the call, or its error code."""
    try:
        return call(handle)
    except NvmlError as error:
        return error.code


def _work(library: str, job: dict[str, Any]) -> Any:
    """lines: the scenario. steps: see `run_steps`. reset: the index of a GPU that is reset before. kill: whether to end after the steps."""
    os.environ[VARIABLE] = job["lines"]
    if "reset" in job:
        with open_nvml(library):  # loads the scenario
            pass
        status: int = ctypes.CDLL(library).nvmlGpunodeReset(job["reset"])
        if status != 0:
            return status
    with open_nvml(library) as nvml:
        found = run_steps(nvml, job["steps"])
        if job.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
    return found


if __name__ == "__main__":
    configure_log("json", "error")  # to standard error
    for line in sys.stdin:
        print(json.dumps(_work(sys.argv[1], json.loads(line))), flush=True)

"""The calls of the simulated NVML that read and change MIG layouts. `mig_rules` contains the rules of the driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES
from gpu_core.mig.model import Engines, Placement
from gpu_core.nvml.api import NOT_FOUND, NOT_SUPPORTED, Handle
from gpu_core.nvml.mig_api import ComputeInstanceHandle, GpuInstanceHandle, InstanceInfo, InstanceProfileInfo
from simulation.nvml import mig_rules
from simulation.nvml.session import INVALID_ARGUMENT, Device, SimulatedSession, error_of, require
from simulation.scenarios.mig_layout import MigState, SimulatedInstance, SimulatedMig
from simulation.scenarios.mig_placements import max_instances, possible_placements
from simulation.scenarios.mig_profiles import BOARDS, Board, InstanceProfile
from simulation.scenarios.scenario import SimulatedGpu

NVIDIA_VENDOR = 0x10DE
_FIRST_DRIVER_WITH_PROFILES = 550
"""Drivers before this major version report no profiles while MIG mode is off."""
_COMPUTE_IDS = 20
"""The id of a compute instance profile is this number minus the profile, so that a test fails if the product confuses the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instance:
    """The handle of a GPU instance."""

    device: Device
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compute:
    """The handle of a compute instance. uuid: a later compute instance with the same id has another handle."""

    device: Device
    gpu_instance: int
    uuid: str


class SimulatedMigCalls(SimulatedSession):
    def device_get_pending_mig_mode(self, device: Handle) -> bool:
        return self._mig_state("device_get_pending_mig_mode", device).is_pending

    def device_get_pci_ids(self, device: Handle) -> tuple[int, int]:
        method = "device_get_pci_ids"
        gpu = self._gpu(method, device)
        require(method, gpu.address)
        ids = (int(number, 16) << 16 | NVIDIA_VENDOR for number in (gpu.device_id, gpu.subsystem_id))
        return next(ids), next(ids)

    def device_set_mig_mode(self, device: Handle, enabled: bool) -> str | None:
        with self._changing("device_set_mig_mode", device) as change:
            change.mig, status = mig_rules.set_mode(change.gpu, change.mig, enabled=enabled)
        return status

    def device_get_gpu_instance_profile_info(self, device: Handle, number: int) -> InstanceProfileInfo:
        method = "device_get_gpu_instance_profile_info"
        self._gpu(method, device)
        if number not in GPU_INSTANCE_SLICES:
            raise error_of(method, INVALID_ARGUMENT)
        board = self._board(method, device)
        profile = next((each for each in board.profiles.values() if each.number == number), None)
        return _profile_info(board, require(method, profile))

    def device_get_gpu_instance_possible_placements(self, device: Handle, profile_id: int) -> tuple[Placement, ...]:
        method = "device_get_gpu_instance_possible_placements"
        board = self._board(method, device)
        return possible_placements(board, board.profiles[_profile_name(method, board, profile_id)])

    def device_get_gpu_instances(self, device: Handle, profile_id: int) -> tuple[GpuInstanceHandle, ...]:
        method = "device_get_gpu_instances"
        mig, board = self._mig_state(method, device), self._board(method, device)
        name = _profile_name(method, board, profile_id)
        if not mig.is_enabled:
            raise error_of(method, NOT_SUPPORTED)
        return tuple(_Instance(device=device, id=each.id) for each in mig.instances if each.profile_name == name)

    def device_create_gpu_instance(self, device: Handle, profile_id: int, placement: Placement) -> GpuInstanceHandle:
        method = "device_create_gpu_instance"
        with self._changing(method, device) as change:
            name = _profile_name(method, self._board(method, device), profile_id)
            change.mig, created = mig_rules.create_instance(change.gpu, change.mig, name, placement)
        return _Instance(device=device, id=created.id)

    def gpu_instance_get_info(self, instance: GpuInstanceHandle) -> InstanceInfo:
        method = "gpu_instance_get_info"
        found, board = self._instance(method, instance), self._board(method, instance.device)
        return InstanceInfo(id=found.id, profile_id=board.profile_id(found.profile), placement=found.placement)

    def gpu_instance_destroy(self, instance: GpuInstanceHandle) -> None:
        method = "gpu_instance_destroy"
        with self._changing(method, _device(method, instance)) as change:
            change.mig = mig_rules.destroy_instance(change.mig, instance.id)

    def gpu_instance_get_compute_instance_profile_info(
        self, instance: GpuInstanceHandle, number: int
    ) -> InstanceProfileInfo:
        method = "gpu_instance_get_compute_instance_profile_info"
        found = self._instance(method, instance)
        if number not in COMPUTE_INSTANCE_SLICES:
            raise error_of(method, INVALID_ARGUMENT)
        count = require(method, mig_rules.compute_count(found, number) or None)
        return _compute_profile_info(found.profile, number, count)

    def gpu_instance_get_compute_instances(
        self, instance: GpuInstanceHandle, profile_id: int
    ) -> tuple[ComputeInstanceHandle, ...]:
        method = "gpu_instance_get_compute_instances"
        found = self._instance(method, instance)
        number = _compute_number(method, found, profile_id)
        return tuple(
            _Compute(device=instance.device, gpu_instance=found.id, uuid=each.uuid)
            for each in found.compute
            if each.instance.compute_profile == number
        )

    def gpu_instance_create_compute_instance(
        self, instance: GpuInstanceHandle, profile_id: int
    ) -> ComputeInstanceHandle:
        method = "gpu_instance_create_compute_instance"
        with self._changing(method, _device(method, instance)) as change:
            found = mig_rules.find_instance(method, change.mig, instance.id)
            number = _compute_number(method, found, profile_id)
            change.mig, created = mig_rules.create_compute(change.gpu, change.mig, instance.id, number)
        return _Compute(device=instance.device, gpu_instance=instance.id, uuid=created.uuid)

    def compute_instance_get_info(self, instance: ComputeInstanceHandle) -> InstanceInfo:
        method = "compute_instance_get_info"
        found = _compute(method, self._mig_state(method, _device(method, instance, _Compute)), instance)
        number = found.instance.compute_profile
        placement = Placement(start=found.compute_start, size=COMPUTE_INSTANCE_SLICES[number])
        return InstanceInfo(id=found.compute_instance, profile_id=_COMPUTE_IDS - number, placement=placement)

    def compute_instance_destroy(self, instance: ComputeInstanceHandle) -> None:
        method = "compute_instance_destroy"
        with self._changing(method, _device(method, instance, _Compute)) as change:
            found = _compute(method, change.mig, instance)
            change.mig = mig_rules.destroy_compute(change.gpu, change.mig, found)

    def _mig_state(self, method: str, device: Handle) -> MigState:
        return require(method, self._gpu(method, device).mig)

    def _board(self, method: str, device: Handle) -> Board:
        gpu = self._mig_capable(method, device)
        if not gpu.mig_enabled and _major(self._driver.version) < _FIRST_DRIVER_WITH_PROFILES:
            raise error_of(method, NOT_SUPPORTED)
        return require(method, BOARDS.get(gpu.model))

    def _instance(self, method: str, instance: GpuInstanceHandle) -> SimulatedInstance:
        return mig_rules.find_instance(method, self._mig_state(method, _device(method, instance)), instance.id)

    @contextmanager
    def _changing(self, method: str, device: Handle) -> Iterator["_Change"]:
        """A change of the MIG state of a GPU, which is written unless an error occurs."""
        self._gpu(method, device)
        with self._mig_states.lock():
            gpu = self._gpu(method, device)
            change = _Change(gpu=gpu, mig=require(method, gpu.mig))
            yield change
            if change.mig != gpu.mig:
                self._mig_states.write(self._scenario.gpu_at(gpu.index, self._clock()), change.mig)


@dataclass(slots=True, kw_only=True)
class _Change:
    gpu: SimulatedGpu
    mig: MigState


def _major(version: str) -> int:
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 0


def _device(method: str, instance: object, kind: "type[_Instance | _Compute]" = _Instance) -> Device:
    """The GPU of an instance. Raises INVALID_ARGUMENT for a handle of another kind."""
    if not isinstance(instance, kind):
        raise error_of(method, INVALID_ARGUMENT)
    return instance.device


def _compute(method: str, mig: MigState, handle: _Compute) -> SimulatedMig:
    found = next((each for each in mig.devices if each.uuid == handle.uuid), None)
    if found is None:
        raise error_of(method, NOT_FOUND)
    return found


def _profile_name(method: str, board: Board, profile_id: int) -> str:
    found = next((name for name, each in board.profiles.items() if board.profile_id(each) == profile_id), None)
    if found is None:
        raise error_of(method, INVALID_ARGUMENT)
    return found


def _compute_number(method: str, instance: SimulatedInstance, profile_id: int) -> int:
    number = _COMPUTE_IDS - profile_id
    if number not in COMPUTE_INSTANCE_SLICES or not mig_rules.compute_count(instance, number):
        raise error_of(method, INVALID_ARGUMENT)
    return number


def _profile_info(board: Board, profile: InstanceProfile) -> InstanceProfileInfo:
    return InstanceProfileInfo(
        id=board.profile_id(profile),
        slices=profile.slices,
        max_count=max_instances(board, profile),
        engines=_engines(profile, profile.multiprocessors),
        memory_mib=profile.memory_mib,
    )


def _compute_profile_info(profile: InstanceProfile, number: int, count: int) -> InstanceProfileInfo:
    slices = COMPUTE_INSTANCE_SLICES[number]
    engines = _engines(profile, profile.multiprocessors * slices // profile.slices)
    return InstanceProfileInfo(id=_COMPUTE_IDS - number, slices=slices, max_count=count, engines=engines)


def _engines(profile: InstanceProfile, multiprocessors: int) -> Engines:
    return Engines(
        multiprocessors=multiprocessors,
        copy=profile.copy_engines,
        decoders=profile.decoders,
        encoders=profile.encoders,
        jpeg=profile.jpeg_engines,
        ofa=profile.ofa_engines,
    )

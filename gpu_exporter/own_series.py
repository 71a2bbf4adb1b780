"""The series of this project about GPUs, which dcgm-exporter does not have. PURE."""

from collections.abc import Iterable, Iterator

from gpu_core.domain.xid import XidPolicy
from gpu_exporter import families
from gpu_exporter.device_labels import LabelOptions, Labels, fault_labels, hostname_labels, instance_labels
from gpu_exporter.exposition import Samples, join_labels, render_labels
from gpu_exporter.reading import instance_profile
from gpu_exporter.view import Device, View
from gpu_exporter.xids import GpuXids, XidKey
from node_core.version import VERSION


def own_samples(view: View, gpus: Iterable[Device], options: LabelOptions) -> Iterator[tuple[families.Family, Samples]]:
    """Returns the samples of each family. gpus: without their GPU instances."""
    listed = tuple(gpus)
    yield families.GPU_UP, _ups(view, listed, options)
    yield families.QUERY_ERRORS, _errors(listed)
    yield families.LAST_READING, _last_readings(listed)
    yield families.XIDS, _total_xids(view, listed)
    yield families.MIG_INFO, _mig_devices(listed, options)
    yield families.EXPORTER_INFO, _exporter(view, options)


def instance_label(key: XidKey) -> Labels:
    """The label of the GPU instance of an Xid; none for an Xid of the whole GPU."""
    return () if key.gpu_instance < 0 else (("GPU_I_ID", str(key.gpu_instance)),)


def _ups(view: View, gpus: Iterable[Device], options: LabelOptions) -> Samples:
    """A GPU without a reading and without a fault was not read yet, or is released."""
    for device in gpus:
        if device.state.reading is not None or device.state.fault is not None:
            yield device.text, 0 if device.state.reading is None else 1
    for fault in view.faults:
        yield render_labels(fault_labels(fault, options)), 0


def _errors(gpus: Iterable[Device]) -> Samples:
    for device in gpus:
        for (call, code), count in sorted(device.state.errors.items()):
            yield join_labels(device.text, (("call", call), ("code", code))), count


def _last_readings(gpus: Iterable[Device]) -> Samples:
    readings = ((device.text, device.state.reading) for device in gpus)
    return ((text, round(reading.at, 3)) for text, reading in readings if reading is not None)


def _total_xids(view: View, gpus: Iterable[Device]) -> Samples:
    policy = XidPolicy()
    for device in gpus:
        for key, count in sorted(view.xids.get(device.state.gpu.uuid, GpuXids()).total.items()):
            labels = (*instance_label(key), ("xid", str(key.xid)), ("kind", str(policy.classify(key.xid))))
            yield join_labels(device.text, labels), count


def _mig_devices(gpus: Iterable[Device], options: LabelOptions) -> Samples:
    for device in gpus:
        gpu = device.state.reading.gpu if device.state.reading else device.state.gpu
        for mig in gpu.mig_devices:
            labels = instance_labels(gpu, mig.gpu_instance, instance_profile(mig.profile), options)
            more = (("mig_uuid", mig.uuid), ("compute_instance", str(mig.compute_instance)))
            yield render_labels((*labels, *more)), 1


def _exporter(view: View, options: LabelOptions) -> Samples:
    simulated = str(view.is_simulated).lower()
    labels = (("version", VERSION), ("driver_version", view.driver), ("simulated", simulated))
    yield render_labels((*hostname_labels(options), *labels)), 1

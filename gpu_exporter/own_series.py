"""The series of this project about GPUs, which dcgm-exporter does not have. PURE."""

from collections.abc import Iterable, Iterator, Sequence

from gpu_core.domain.xid import XidPolicy
from gpu_exporter import families
from gpu_exporter.device_labels import LabelOptions, Labels, fault_labels, hostname_labels
from gpu_exporter.exposition import Samples, join_labels, render_labels
from gpu_exporter.view import Device, Known
from gpu_exporter.xids import GpuXids, XidKey
from node_core.version import VERSION


def own_samples(
    known: Known, devices: Sequence[Device], options: LabelOptions
) -> Iterator[tuple[families.Family, Samples]]:
    """Returns the samples of each family."""
    gpus = [device for device in devices if device.is_gpu]
    yield families.GPU_UP, _ups(known, gpus, options)
    yield families.QUERY_ERRORS, _errors(gpus)
    yield families.LAST_READING, _last_readings(gpus)
    yield families.XIDS, _total_xids(known, gpus)
    yield families.MIG_INFO, _mig_devices(devices)
    yield families.EXPORTER_INFO, _exporter(known, options)


def instance_label(key: XidKey) -> Labels:
    """The label of the GPU instance of an Xid; none for an Xid of the whole GPU."""
    return () if key.gpu_instance < 0 else (("GPU_I_ID", str(key.gpu_instance)),)


def _ups(known: Known, gpus: Iterable[Device], options: LabelOptions) -> Samples:
    """A GPU without a reading and without a fault was not read yet, or is released."""
    for device in gpus:
        if device.state.reading is not None or device.state.fault is not None:
            yield device.text, 0 if device.state.reading is None else 1
    for fault in known.sample.faults:
        yield render_labels(fault_labels(fault, options)), 0


def _errors(gpus: Iterable[Device]) -> Samples:
    for device in gpus:
        for (call, code), count in sorted(device.state.errors.items()):
            yield join_labels(device.text, (("call", call), ("code", code))), count


def _last_readings(gpus: Iterable[Device]) -> Samples:
    readings = ((device.text, device.state.reading) for device in gpus)
    return ((text, round(reading.at, 3)) for text, reading in readings if reading is not None)


def _total_xids(known: Known, gpus: Iterable[Device]) -> Samples:
    policy = XidPolicy()
    for device in gpus:
        for key, count in sorted(known.xids.get(device.state.gpu.uuid, GpuXids()).total.items()):
            labels = (*instance_label(key), ("xid", str(key.xid)), ("kind", str(policy.classify(key.xid))))
            yield join_labels(device.text, labels), count


def _mig_devices(devices: Iterable[Device]) -> Samples:
    for device in devices:
        for mig in device.state.shown_gpu.mig_devices:
            if mig.gpu_instance == device.key.gpu_instance:
                labels = (("mig_uuid", mig.uuid), ("compute_instance", str(mig.compute_instance)))
                yield join_labels(device.text, labels), 1


def _exporter(known: Known, options: LabelOptions) -> Samples:
    simulated = str(known.is_simulated).lower()
    labels = (("version", VERSION), ("driver_version", known.driver), ("simulated", simulated))
    yield render_labels((*hostname_labels(options), *labels)), 1

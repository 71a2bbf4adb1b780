"""Renders all series from what is known at present. PURE: no NVML, no input and output.

Series of this project have no labels of pods: a counter must not change its labels when a pod ends, for example because of an Xid.
"""

from collections.abc import Iterable, Sequence

from gpu_core.domain.xid import xid_of
from gpu_exporter import families
from gpu_exporter.device_labels import LabelOptions
from gpu_exporter.exposition import Exposition, Samples, join_labels
from gpu_exporter.fields import Field
from gpu_exporter.own_series import instance_label, own_samples
from gpu_exporter.pods.series import pod_samples
from gpu_exporter.selection import OWN_PREFIX, Exported, Selection
from gpu_exporter.view import Device, Known, View, select_devices
from gpu_exporter.xids import NO_XID, GpuXids


def render(
    view: View, selection: Selection, options: LabelOptions, *, window_ms: int, is_openmetrics: bool = False
) -> bytes:
    """Returns the exposition of all series. window_ms: of DCGM_EXP_XID_ERRORS_COUNT."""
    exposition = Exposition(is_openmetrics=is_openmetrics)
    devices = select_devices(view, selection, options)
    for exported in selection.series:
        samples = _select_samples(exported, view.known, devices, window_ms)
        exposition.add(exported.name, exported.kind, exported.help, samples)
    of_pods = pod_samples(view.holders, view.usages, {device.key: device.text for device in devices})
    for family, family_samples in (*own_samples(view.known, devices, options), *of_pods):
        exposition.add(family.name, family.kind, family.help, family_samples)
    return exposition.render()


def _select_samples(exported: Exported, known: Known, devices: Sequence[Device], window_ms: int) -> Samples:
    gpus = (device for device in devices if device.is_gpu)
    match exported.name:
        case families.XID_ERRORS.name:
            return _last_xids(known, gpus)
        case families.XID_COUNT.name:
            return _recent_xids(known, gpus, window_ms)
        case _:
            has_pods = not exported.name.startswith(OWN_PREFIX)
            return (sample for row in exported.fields for sample in _value_samples(row, devices, has_pods))


def _value_samples(row: Field, devices: Iterable[Device], has_pods: bool) -> Samples:
    key, more = row.key, tuple((row.labels or {}).items())
    for device in devices:
        if (value := device.values.get(key)) is not None:
            text = device.with_pod if has_pods else device.text
            yield join_labels(text, more) if more else text, value


def _last_xids(known: Known, gpus: Iterable[Device]) -> Samples:
    """A GPU whose Xids are not reported has no last Xid."""
    for device in gpus:
        uuid = device.state.gpu.uuid
        if uuid in known.watched:
            last = known.xids.get(uuid, GpuXids()).last
            message = "No Error" if last == NO_XID else xid_of(last).description
            yield join_labels(device.with_pod, (("err_code", str(last)), ("err_msg", message))), last


def _recent_xids(known: Known, gpus: Iterable[Device], window_ms: int) -> Samples:
    for device in gpus:
        for key, count in sorted(known.xids.get(device.state.gpu.uuid, GpuXids()).recent.items()):
            labels = (*instance_label(key), ("window_size_in_ms", str(window_ms)), ("xid", str(key.xid)))
            yield join_labels(device.with_pod, labels), count

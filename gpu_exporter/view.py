"""What the exposition is rendered from, and the devices that have series. PURE."""

from collections.abc import Iterator, Mapping

import msgspec

from gpu_core.domain.inventory import GpuUuid
from gpu_core.pods.device_names import DeviceKey
from gpu_core.pods.holders import Holders, select_holders
from gpu_exporter.device_labels import LabelOptions, Labels, claim_labels, gpu_labels, instance_labels, pod_labels
from gpu_exporter.exposition import join_labels, render_labels, render_number
from gpu_exporter.families import DRIVER_VERSION
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.pods.usage import PodUsage, select_usage
from gpu_exporter.reading import GpuState, Sample, Values
from gpu_exporter.selection import Selection
from gpu_exporter.xids import GpuXids


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at present. Equal values give the same text. watched: the GPUs whose Xids are reported.

    driver: its version; empty if unknown.
    """

    sample: Sample = Sample()
    pods: PodsSnapshot = PodsSnapshot()
    xids: Mapping[GpuUuid, GpuXids] = msgspec.field(default_factory=dict)
    watched: frozenset[GpuUuid] = frozenset()
    driver: str = ""
    is_simulated: bool = False


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What is known, with devices and processes attributed to pods."""

    known: Known = Known()
    holders: Holders = Holders()
    usages: tuple[PodUsage, ...] = ()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU or a GPU instance. text: the rendered labels, without pods. with_pod: and the pod and the claim that have the device alone."""

    key: DeviceKey
    state: GpuState
    text: str
    with_pod: str
    values: Values

    @property
    def is_gpu(self) -> bool:
        return self.key.gpu_instance is None


def make_view(known: Known) -> View:
    """Attributes devices and processes to pods. The MIG devices are those of the readings, never those of a newer discovery."""
    gpus = [state.shown_gpu for state in known.sample.gpus]
    pods = known.pods
    holders = select_holders(pods.pods, gpus, pods.identities) if pods.is_known else Holders()
    readings = (state.reading for state in known.sample.gpus if state.reading is not None)
    usages = (usage for each in readings for usage in select_usage(each.devices, each.processes, holders))
    return View(known=known, holders=holders, usages=tuple(usages))


def select_devices(view: View, selection: Selection, options: LabelOptions) -> tuple[Device, ...]:
    """Returns each GPU, followed by its GPU instances."""
    return tuple(device for state in view.known.sample.gpus for device in _devices(state, view, selection, options))


def _devices(state: GpuState, view: View, selection: Selection, options: LabelOptions) -> Iterator[Device]:
    reading, gpu = state.reading, state.shown_gpu
    of_gpu = {} if reading is None else reading.values

    def describe(gpu_instance: int | None, labels: Labels, values: Values) -> Device:
        key = DeviceKey(gpu.uuid, gpu_instance)
        text = render_labels((*labels, *_value_labels({**of_gpu, **values}, view.known.driver, selection)))
        of_pod = pod_labels(view.holders.exclusive_holder(*key), options)
        of_claim = claim_labels(view.holders.exclusive_claim(*key), gpu, gpu_instance, options)
        with_pod = join_labels(text, (*of_pod, *of_claim))
        return Device(key=key, state=state, text=text, with_pod=with_pod, values=values)

    yield describe(None, gpu_labels(gpu, options), of_gpu)
    for each in () if reading is None else reading.instances:
        labels = instance_labels(gpu, each.gpu_instance, each.profile, options)
        yield describe(each.gpu_instance, labels, each.values)


def _value_labels(values: Values, driver: str, selection: Selection) -> Iterator[tuple[str, str]]:
    """The labels whose values are values of the device."""
    for exported in selection.labels:
        if exported.name == DRIVER_VERSION.name and driver:
            yield exported.name, driver
        for each in exported.fields:
            if each.key in values:
                yield exported.name, render_number(values[each.key])

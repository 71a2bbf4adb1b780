"""What the exposition is rendered from, and the devices that have series. PURE."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gpu_core.domain.inventory import Fault, GpuUuid
from gpu_core.pods.device_names import DeviceKey
from gpu_core.pods.holders import Holders
from gpu_exporter.device_labels import LabelOptions, Labels, gpu_labels, instance_labels, pod_labels
from gpu_exporter.exposition import join_labels, render_labels, render_number
from gpu_exporter.families import DRIVER_VERSION
from gpu_exporter.pods.usage import PodUsage
from gpu_exporter.reading import GpuState, Values
from gpu_exporter.selection import Selection
from gpu_exporter.xids import GpuXids


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known at present. watched: the GPUs whose Xids are reported. driver: its version; empty if unknown."""

    states: tuple[GpuState, ...] = ()
    faults: tuple[Fault, ...] = ()
    holders: Holders = Holders()  # noqa: RUF009 - frozen
    usages: tuple[PodUsage, ...] = ()
    xids: Mapping[GpuUuid, GpuXids] = field(default_factory=dict)
    watched: frozenset[GpuUuid] = frozenset()
    driver: str = ""
    is_simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU or a GPU instance. labels: without pods. text: these, rendered. with_pod: and the pod that has the device alone."""

    key: DeviceKey
    state: GpuState
    labels: Labels
    text: str
    with_pod: str
    values: Values

    @property
    def is_gpu(self) -> bool:
        return self.key.gpu_instance is None


def select_devices(view: View, selection: Selection, options: LabelOptions) -> tuple[Device, ...]:
    """Returns each GPU, followed by its GPU instances."""
    return tuple(device for state in view.states for device in _devices(state, view, selection, options))


def _devices(state: GpuState, view: View, selection: Selection, options: LabelOptions) -> Iterator[Device]:
    """The GPU instances are those of the reading, never those of a newer discovery."""
    reading = state.reading
    gpu = state.gpu if reading is None else reading.gpu
    of_gpu = {} if reading is None else reading.values

    def describe(gpu_instance: int | None, labels: Labels, values: Values) -> Device:
        key = DeviceKey(gpu.uuid, gpu_instance)
        every = (*labels, *_value_labels({**of_gpu, **values}, view.driver, selection))
        text, pod = render_labels(every), pod_labels(view.holders.exclusive_holder(*key), options)
        with_pod = join_labels(text, pod)
        return Device(key=key, state=state, labels=every, text=text, with_pod=with_pod, values=values)

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

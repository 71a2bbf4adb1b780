"""The fields of ResourceSlices that name the devices of a Node, and the slices that a scheduler uses. PURE.

Source: Kubernetes API, ResourceSlice of resource.k8s.io v1, v1beta2 and v1beta1, whose devices have one level more (`basic`).
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from gpu_core.pods.device_names import DRA_DRIVER
from node_core.scheduling.objects import ApiStruct, Metadata, Taint

NO_EFFECT = "None"
"""A taint with this effect informs people, and the scheduler ignores the taint."""


class CounterConsumption(ApiStruct, frozen=True):
    counter_set: str = ""


class DeviceContent(ApiStruct, frozen=True):
    """attributes: name -> `{"string": ...}`, `{"int": ...}`, `{"bool": ...}` or `{"version": ...}`."""

    attributes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    consumes_counters: tuple[CounterConsumption, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """The attributes that are texts. Their names may omit the domain of the driver, and have none here."""
        texts = {name.removeprefix(f"{DRA_DRIVER}/"): value.get("string") for name, value in self.attributes.items()}
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    @property
    def effective_taints(self) -> tuple[Taint, ...]:
        """The taints that keep pods away."""
        return tuple(each for each in self.taints if each.effect != NO_EFFECT)


class SliceDevice(DeviceContent, frozen=True):
    name: str = ""
    basic: DeviceContent | None = None

    @property
    def content(self) -> DeviceContent:
        return self if self.basic is None else self.basic


class Pool(ApiStruct, frozen=True):
    """resource_slice_count: the number of slices of the generation."""

    name: str = ""
    generation: int = 0
    resource_slice_count: int = 0


class SliceSpec(ApiStruct, frozen=True):
    node_name: str = ""
    pool: Pool = Pool()
    devices: tuple[SliceDevice, ...] = ()


class ResourceSlice(ApiStruct, frozen=True):
    spec: SliceSpec


class NamedSlice(ResourceSlice, frozen=True):
    """The name shows which program has written the slice."""

    metadata: Metadata = Metadata()


SliceT = TypeVar("SliceT", bound=ResourceSlice)


def select_current(slices: Iterable[SliceT]) -> list[SliceT]:
    """Returns the slices of the newest generation of each pool. A scheduler ignores the others."""
    listed = list(slices)
    newest: dict[str, int] = {}
    for each in listed:
        pool = each.spec.pool
        newest[pool.name] = max(pool.generation, newest.get(pool.name, pool.generation))
    return [each for each in listed if each.spec.pool.generation == newest[each.spec.pool.name]]

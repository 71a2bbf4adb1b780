"""Reads the fields of a GPU, or of a GPU instance, in one NVML session.

All field values of a GPU are one call. A query that the board does not support is not repeated.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gpu_core.nvml.api import FUNCTIONS, Handle, Nvml
from gpu_core.nvml.queries import GpuQueries
from gpu_core.nvml.usage_api import FieldId, GpmSample, Value
from gpu_exporter.fields import Field
from gpu_exporter.sources import FieldSum, Gpm, LinkSum, Query, Source
from node_core.errors import NvmlError

FIELD_VALUES, GPM = "fields", "gpm"
"""Keys of queries that give the values of many fields."""


class PartReader:
    """device: the handle of a GPU or MIG device. take_sample: fills a GPM sample. links: the number of NVLinks, for sums over links.

    needs_second_sample: the last reading took the first sample of GPM, so the next reading is the first one with means.
    """

    def __init__(
        self, nvml: Nvml, device: Handle, take_sample: Callable[[GpmSample], None], *, has_gpm: bool, links: int = 0
    ) -> None:
        self._nvml, self._device, self._take_sample = nvml, device, take_sample
        self._links = links
        self._unsupported: set[Hashable] = set() if has_gpm else {GPM}
        self._free: list[GpmSample] = []
        self._before: GpmSample | None = None
        self.needs_second_sample = False
        self.begin()

    def begin(self) -> None:
        """Begins a new reading: drops the results of the last one."""
        self.queries = GpuQueries(self._unsupported)
        self._results: dict[Hashable, Any] = {}

    def forget_unsupported(self) -> None:
        """Repeats the unsupported queries in the next reading: a driver may support them later. GPM is never supported later."""
        self._unsupported.intersection_update({GPM})

    def read(self, fields: Iterable[Field]) -> dict[str, float]:
        """Reads these fields. Returns `Field.key` -> value, without fields that NVML does not give now."""
        chosen = {field.key: source for field in fields if (source := self._choose(field)) is not None}
        field_values = dict(self._read_field_values(chosen.values()))
        metrics = dict(self._read_metrics(chosen.values()))
        found = {key: self._evaluate(source, field_values, metrics) for key, source in chosen.items()}
        return {key: value for key, value in found.items() if value is not None}

    def call(self, method: str, *arguments: Hashable) -> Any:
        """The result of a method, which is called once in a reading; None if it fails."""
        key = (method, *arguments)
        if key not in self._results:
            call = getattr(self._nvml, method)
            self._results[key] = self.queries.query(key, lambda: call(self._device, *arguments))
        return self._results[key]

    def close(self) -> None:
        """Frees the GPM samples. Raises NvmlError."""
        for sample in (*self._free, *([] if self._before is None else [self._before])):
            self._nvml.gpm_sample_free(sample)
        self._free, self._before = [], None

    def _choose(self, field: Field) -> Source | None:
        return next((source for source in field.sources if not self._is_unsupported(source)), None)

    def _is_unsupported(self, source: Source) -> bool:
        match source:
            case FieldSum() | LinkSum():
                return source in self._unsupported or FIELD_VALUES in self._unsupported
            case Gpm():
                return source in self._unsupported or GPM in self._unsupported
            case Query():
                return (source.method, *source.arguments) in self._unsupported

    def _evaluate(
        self, source: Source, field_values: Mapping[Source, float], metrics: Mapping[Source, float]
    ) -> float | None:
        match source:
            case FieldSum() | LinkSum():
                return field_values.get(source)
            case Gpm():
                return metrics.get(source)
            case Query():
                result = self.call(source.method, *source.arguments)
                value = getattr(result, source.attribute) if result is not None and source.attribute else result
                return None if value is None else value * source.scale

    def _read_field_values(self, sources: Iterable[Source]) -> Iterator[tuple[Source, float]]:
        wanted = {source: self._ids(source) for source in sources if isinstance(source, FieldSum | LinkSum)}
        ids = tuple(dict.fromkeys(each for of_source in wanted.values() for each in of_source))
        if not ids:
            return
        values = self.queries.query(FIELD_VALUES, lambda: self._nvml.device_get_field_values(self._device, ids))
        found = dict(zip(ids, values or (), strict=False))
        for source, of_source in wanted.items():
            numbers = self._numbers(source, [found[each] for each in of_source if each in found])
            if numbers and len(numbers) == len(of_source):
                yield source, sum(numbers) * source.scale

    def _ids(self, source: FieldSum | LinkSum) -> tuple[FieldId, ...]:
        if isinstance(source, LinkSum):
            return tuple(FieldId(source.number, link) for link in range(self._links))
        return source.ids

    def _numbers(self, source: Source, values: Sequence[Value], call: str = "device_get_field_values") -> list[float]:
        """The numbers among these values. Records the error codes."""
        for code in (value for value in values if isinstance(value, str)):
            self.queries.record(source, NvmlError(FUNCTIONS[call], code))
        return [value for value in values if not isinstance(value, str)]

    def _read_metrics(self, sources: Iterable[Source]) -> Iterator[tuple[Source, float]]:
        """The means since the last sample; nothing without a last sample."""
        wanted = [source for source in sources if isinstance(source, Gpm)]
        if not wanted:
            return
        after = self._take_next_sample()
        before, self._before = self._before, after
        self.needs_second_sample = before is None and after is not None
        if before is None:
            return
        self._free.append(before)
        if after is None:
            return
        ids = [source.metric for source in wanted]
        values = self.queries.query(GPM, lambda: self._nvml.gpm_metrics_get(before, after, ids))
        for source, value in zip(wanted, values or (), strict=False):
            for number in self._numbers(source, [value], "gpm_metrics_get"):
                yield source, number * source.scale

    def _take_next_sample(self) -> GpmSample | None:
        sample = self._free.pop() if self._free else self.queries.query(GPM, self._nvml.gpm_sample_alloc)
        if sample is None or self.queries.query(GPM, lambda: self._fill(sample)):
            return sample
        self._free.append(sample)
        return None

    def _fill(self, sample: GpmSample) -> bool:
        self._take_sample(sample)
        return True

"""Checks what the metrics of the agents state. Reading them needs the right to get pods/proxy."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gpunode.doctor.check import Check, Status, note, ok, problem
from gpunode.doctor.pod_check import NOT_READY
from gpunode.doctor.programs import Program
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.runtime import metrics

if TYPE_CHECKING:
    from gpunode.cluster.metrics import Sample

NAME = "metrics"
LOG = 'read the log of the agent (event not_ready), and "Checks of /readyz" in docs/how-to/troubleshoot.md'


def check_metrics(api: ApiClient, pods: Mapping[str, str], programs: tuple[Program, ...]) -> Iterator[Check]:
    """pods: key of a program -> name of its running pod. Yields a note for metrics that cannot be read, and one for a missing right."""
    for program in programs:
        if not program.has_agents or program.key not in pods or not program.port:
            continue
        try:
            samples = _read_samples(api, program, pods[program.key])
        except KubeError as error:
            if error.status == 403:
                yield note(NAME, "the metrics of the agents are not read: you are not permitted to get pods/proxy")
                return
            yield note(NAME, f"the metrics of {program.agents} cannot be read: {error.message}")
        except ValueError as error:
            yield note(NAME, f"the metrics of {program.agents} cannot be parsed: {error}")
        else:
            yield from check_samples(samples, program.agents)


def _read_samples(api: ApiClient, program: Program, pod: str) -> "tuple[Sample, ...]":
    """Raises KubeError, and ValueError for content that is not in the format."""
    from gpunode.cluster.metrics import parse_samples, read_pod_metrics  # noqa: PLC0415 - other forms of doctor do not need it

    namespace = program.key.partition("/")[0]
    return parse_samples(read_pod_metrics(api, namespace, pod, program.port, scheme=program.scheme))


def check_samples(samples: "tuple[Sample, ...]", agents: str) -> Iterator[Check]:
    """agents: the names of the agents that serve the metrics. PURE."""
    found = [check for each in samples if each.value > 0 for check in _check_sample(each)]
    yield from found or [ok(NAME, f"the metrics of {agents} state no problem")]


def _check_sample(sample: "Sample") -> Iterator[Check]:
    described = _DESCRIPTIONS.get(sample.name)
    if described is None or sample.labels.get("phase") == "healthy":
        return
    status, words, reason = described
    values = _Values(sample.labels, value=f"{sample.value:.0f}")
    sentence = " ".join(words.format_map(values).split())
    yield problem(NAME, sentence, LOG, reason=reason) if status == "problem" else note(NAME, sentence)


class _Values(dict[str, str]):
    """Labels of a sample. A label that is missing is a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


_STATED: Mapping[metrics.Metric, tuple[Status, str, str | None]] = {
    metrics.NOT_READY: ("problem", "the check {check} of /readyz fails", NOT_READY),
    metrics.COLLECTOR_FAILED: (
        "problem",
        "{collector} of {agent} fails, and its labels stay as they were",
        "CollectorFailed",
    ),
    metrics.GPU_HEALTH: ("note", "{gpu} {gpu_instance} is {phase}", None),
    metrics.XIDS: ("note", "{gpu} had Xid {xid} ({kind}), {value} times since {agent} started", None),
    metrics.NVML_RELEASED: ("note", "{agent} has released NVML, because of a release request on the node", None),
    metrics.LABELS_REFUSED: ("note", "{agent} does not publish {value} labels that Kubernetes would refuse", None),
    metrics.RULE_PROBLEMS: ("note", "{value} rules or outputs of {rules} have a problem: see its Events", None),
}
"""The metrics that state a fault while they are not 0: status, sentence with labels of the metric, reason of a problem."""
_DESCRIPTIONS = {
    f"gpunode_{metric.name}{'_total' if metric.kind == 'counter' else ''}": stated for metric, stated in _STATED.items()
}

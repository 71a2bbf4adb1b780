"""Reads /metrics of the agents through the API server, which needs the right to get pods/proxy.

Source: Kubernetes API concepts, proxies; Prometheus text format.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from urllib3.exceptions import HTTPError

from gpunode.doctor.check import Check, Status, note, ok, problem
from gpunode.doctor.pod_check import NOT_READY
from gpunode.doctor.programs import Program
from node_core.errors import KubeError
from node_core.kube.http import ApiClient, connection_error
from node_core.runtime import metrics

NAME = "metrics"
MAX_BYTES = 1 << 20
LOG = 'read the log of the agent (event not_ready), and "Checks of /readyz" in docs/how-to/troubleshoot.md'


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def check_metrics(api: ApiClient, pods: Mapping[str, str], programs: tuple[Program, ...]) -> Iterator[Check]:
    """pods: key of a program -> name of its running pod. Yields a note for metrics that cannot be read, and one for a missing right."""
    for program in programs:
        if not program.is_ours or program.key not in pods or not program.port:
            continue
        try:
            samples = parse_samples(read_metrics(api, program, pods[program.key]))
        except KubeError as error:
            if error.status == 403:
                yield note(NAME, "the metrics of the agents are not read: you are not permitted to get pods/proxy")
                return
            yield note(NAME, f"the metrics of {program.agents} cannot be read: {error.message}")
        except ValueError as error:
            yield note(NAME, f"the metrics of {program.agents} cannot be parsed: {error}")
        else:
            yield from check_samples(samples, program.agents)


def read_metrics(api: ApiClient, program: Program, pod: str) -> str:
    """Raises KubeError."""
    namespace = program.key.partition("/")[0]
    target = quote(f"{program.scheme}:{pod}:{program.port}", safe=":")
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{target}/proxy/metrics"
    response = api.open("GET", path)
    try:
        return response.read(MAX_BYTES).decode(errors="replace")
    except (HTTPError, OSError) as error:
        raise connection_error("GET", path, error) from error
    finally:
        response.close()


def parse_samples(text: str) -> tuple[Sample, ...]:
    """Parses the Prometheus text format. Raises ValueError. PURE."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - other forms of doctor do not need it

    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not in the format of Prometheus: {error}") from error
    return tuple(Sample(name=each[0], labels=each[1], value=each[2]) for family in families for each in family.samples)


def check_samples(samples: tuple[Sample, ...], agents: str) -> Iterator[Check]:
    """agents: the names of the agents that serve the metrics. PURE."""
    found = [check for each in samples if each.value > 0 for check in _check_sample(each)]
    yield from found or [ok(NAME, f"the metrics of {agents} state no problem")]


def _check_sample(sample: Sample) -> Iterator[Check]:
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

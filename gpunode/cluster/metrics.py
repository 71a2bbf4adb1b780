"""Reads the metrics of a pod through the API server, which needs the right to get pods/proxy.

Source: Kubernetes API concepts, proxies; Prometheus text format.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families
from urllib3.exceptions import HTTPError

from node_core.kube.http import ApiClient, connection_error

MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def read_pod_metrics(api: ApiClient, namespace: str, pod: str, port: int | str, *, scheme: str = "http") -> str:
    """Returns /metrics of a pod. Raises KubeError."""
    target = quote(f"{scheme}:{pod}:{port}", safe=":")
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
    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not in the format of Prometheus: {error}") from error
    return tuple(Sample(name=each[0], labels=each[1], value=each[2]) for family in families for each in family.samples)

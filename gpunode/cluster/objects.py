"""Parts of Pods and workloads that several verbs read. PURE. Source: Kubernetes API v1.

The agents do not need them, so they are not in node_core.scheduling.objects.
"""

from typing import Any

import msgspec

from node_core.scheduling.objects import ApiStruct, Pod, PodStatus, Requirement

_OPERATORS = {
    "In": "{key} in ({values})", "NotIn": "{key} notin ({values})", "Exists": "{key}", "DoesNotExist": "!{key}"
}  # fmt: skip


class ContainerPort(ApiStruct, frozen=True):
    """host_port: 0 for none."""

    name: str = ""
    container_port: int = 0
    host_port: int = 0


class Stop(ApiStruct, frozen=True):
    """Why a container waits or has ended. message: of an ended container, the end of its log, or its termination message."""

    reason: str = ""
    message: str = ""
    exit_code: int = 0
    signal: int = 0
    finished_at: str | None = None


class ContainerState(ApiStruct, frozen=True):
    """running: as in the API."""

    waiting: Stop | None = None
    running: dict[str, Any] | None = None
    terminated: Stop | None = None


class ContainerStatus(ApiStruct, frozen=True):
    """last_state: of the run before the last restart."""

    name: str = ""
    image: str = ""
    started: bool | None = None
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class DetailedStatus(PodStatus, frozen=True):
    """nominated_node_name: the Node on which the scheduler evicts other Pods for this Pod.

    resource_claim_statuses: as in the API, the ResourceClaims that were created from templates. extended_resource_claim_status: as in the
    API, the ResourceClaim that the scheduler created for extended resources.
    """

    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    nominated_node_name: str = ""
    resource_claim_statuses: tuple[dict[str, Any], ...] = ()
    extended_resource_claim_status: dict[str, Any] | None = None


class DetailedPod(Pod, frozen=True):
    status: DetailedStatus = DetailedStatus()


class LabelSelector(ApiStruct, frozen=True):
    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()


def render_selector(selector: LabelSelector) -> str:
    """Renders a selector as the labelSelector of a list. Source: Kubernetes documentation, Labels and Selectors."""
    equal = [f"{key}={value}" for key, value in sorted(selector.match_labels.items())]
    others = [
        _OPERATORS[each.operator].format(key=each.key, values=",".join(each.values))
        for each in selector.match_expressions
        if each.operator in _OPERATORS
    ]
    return ",".join((*equal, *others))

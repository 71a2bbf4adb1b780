"""Explains why a pod does not run. PURE."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

import msgspec

from gpunode.why.amounts import render_names, render_requests
from gpunode.why.claims import explain_claims, own_claim
from gpunode.why.evaluate import Evaluation, evaluate
from gpunode.why.explanation import Explanation, State
from gpunode.why.extended import describe_served, find_served, offer_devices
from gpunode.why.manifest_checks import list_refusals
from gpunode.why.pending_state import is_ignored, select_state
from gpunode.why.scheduler_words import other_reasons, scheduler_message
from gpunode.why.status import diagnose, list_occurrences
from gpunode.why.subject import DEFAULT_SCHEDULER, EMPTY, Snapshot, Subject
from gpunode.why.workloads import JOB
from node_core.scheduling.requests import pod_requests


def explain_pod(subject: Subject, snapshot: Snapshot = EMPTY) -> Explanation:
    """Returns the explanation. snapshot: read only if `subject.needs_nodes`. Raises ValueError for an invalid quantity."""
    requests = pod_requests(subject.pod)
    if not subject.is_live and (refusals := list_refusals(subject.pod)):
        return _explanation(subject, requests, State.INVALID, "would be refused by the API server", findings=refusals)
    if not subject.needs_nodes:
        return _explain_status(subject, requests)
    return _explain_placement(subject, requests, snapshot)


def _explanation(
    subject: Subject, requests: Mapping[str, Fraction], state: State, what: str, **more: tuple[str, ...]
) -> Explanation:
    """what: the end of the sentence that begins with the pod."""
    metadata = subject.pod.metadata
    explanation = Explanation(
        kind=subject.kind,
        namespace=metadata.namespace,
        name=metadata.name,
        owner=subject.owner,
        state=state,
        summary=f"{_beginning(subject, state)} {what}.",
        requests=render_requests(requests),
        events=list_occurrences(subject.events),
    )
    notes = (*more.pop("notes", ()), *_general_notes(subject))
    return msgspec.structs.replace(explanation, notes=notes, **more)


def _beginning(subject: Subject, state: State) -> str:
    is_about_pod = subject.is_template and state not in (State.WAITING, State.NOT_CREATED)
    return f"A pod of {subject.title}" if is_about_pod else subject.title


def _general_notes(subject: Subject) -> Iterator[str]:
    yield from subject.notes
    if node := subject.pod.status.nominated_node_name:
        yield f"The scheduler evicts pods of lower priority on {node} to place this pod there."
    if subject.pod.metadata.deletion_timestamp:
        yield "The pod is being deleted."


def _explain_status(subject: Subject, requests: Mapping[str, Fraction]) -> Explanation:
    found = diagnose(subject.pod, subject.node, subject.events)
    advice = found.advice(subject.pod)
    return _explanation(subject, requests, found.state, found.summary, findings=found.findings, advice=advice)


def _explain_placement(subject: Subject, requests: Mapping[str, Fraction], snapshot: Snapshot) -> Explanation:
    served = find_served(requests, snapshot.claims, own_claim(subject))
    found = evaluate(subject.pod, requests, offer_devices(snapshot, served, requests))
    message = scheduler_message(subject.pod, subject.events)
    others = other_reasons(message) if found.fitting else ()
    claims = explain_claims(subject, snapshot.claims)
    state, what = select_state(subject, found, has_other_reasons=bool(others), claims_are_blocked=claims.is_blocked)
    own = tuple(
        filter(
            None,
            (
                *_creation_findings(subject),
                *describe_served([each for each in served if each.resource in requests], snapshot.nodes),
                *claims.findings,
                *(f"The scheduler states: {each}." for each in others),
            ),
        )
    )
    explanation = _explanation(
        subject, requests, state, what,
        findings=(*own, *found.findings),
        advice=(*claims.advice, *_advice(subject, found, state)),
        notes=(*snapshot.notes, *_unchecked(subject, state)),
    )  # fmt: skip
    return msgspec.structs.replace(
        explanation,
        nodes=found.fitting,
        groups=found.groups,
        solutions=found.solutions,
        filter_reasons=dict(found.filter_reasons),
        scheduler_message=message,
    )


def _creation_findings(subject: Subject) -> Iterator[str]:
    for each in subject.creation_errors:
        yield f"{each.reason}: {each.message}"


def _advice(subject: Subject, found: Evaluation, state: State) -> Iterator[str]:
    if state is State.NOT_CREATED:
        command = f"kubectl describe resourcequota -n {subject.pod.metadata.namespace}"
        yield f"Delete pods that use the quota, or ask an administrator for a larger quota: {command}"
    if subject.pause is not None:
        yield subject.pause.advice
    if state is State.WAITING and subject.pod.spec.scheduling_gates:
        yield "The controller that set a gate removes it, for example a queue of jobs. Read the log of this controller."
    if state is State.WAITING and is_ignored(subject):
        yield f"Check that the scheduler {subject.pod.spec.scheduler_name} runs, or remove schedulerName."
    if found.unlabelled:
        node = found.unlabelled[0]
        yield f"Check that nfd-lite runs on {node}, and sets the label nvidia.com/gpu.present: gpunode doctor --node {node}"
    if found.solutions and any(step.changes_pod for step in found.solutions[0].steps):
        yield _where(subject)


def _where(subject: Subject) -> str:
    if subject.owner.startswith(f"{JOB.kind} "):
        return f"Make this change in {subject.owner}: delete the Job and create it again, because its template cannot be changed."
    if subject.owner or not subject.is_live:
        return f"Make this change in {subject.owner or subject.title}."
    return "Most fields of a pod cannot be changed: delete the pod, and create it again with the change."


def _unchecked(subject: Subject, state: State) -> Iterator[str]:
    """Yields what else the scheduler evaluates, if nothing is known about its opinion."""
    spec = subject.pod.spec
    affinity = spec.affinity
    if (name := spec.scheduler_name) not in ("", DEFAULT_SCHEDULER):
        yield f"The scheduler {name} can have other rules than those of kube-scheduler, which are evaluated here."
    kinds = {
        "pod affinity": affinity.pod_affinity or affinity.pod_anti_affinity,
        "topology spread constraints": spec.topology_spread_constraints,
        "volumes": [each for each in spec.volumes if each.persistent_volume_claim or each.ephemeral],
        "host ports": [port for each in spec.containers for port in each.ports if port.host_port],
        "selectors and constraints of resource claims": spec.resource_claims,
    }
    present = [name for name, value in kinds.items() if value]
    if present and state is State.PLACEABLE:
        yield f"Not evaluated here, but by the scheduler: {render_names(present, len(present))}."

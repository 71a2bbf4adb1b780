"""Why the ResourceClaims of a Pod are not allocated. PURE.

Expressions (CEL), constraints and counters are evaluated by the scheduler alone.
Source: Kubernetes documentation, Dynamic Resource Allocation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpunode.cluster.claim_devices import CLASSES, ClaimDevice
from gpunode.cluster.claim_objects import DeviceRequirement, ResourceClaim
from gpunode.why.amounts import count, render_names
from gpunode.why.subject import ClaimSnapshot, Subject

MOST_NAMES = 4
"""Devices and pods in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence. is_blocked: the claim cannot be allocated now, whatever its selectors are. advice: what to do, or empty."""

    text: str
    is_blocked: bool = False
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsExplanation:
    """findings: sentences. is_blocked: a claim cannot be allocated."""

    findings: tuple[str, ...] = ()
    is_blocked: bool = False
    advice: tuple[str, ...] = ()


def explain_claims(subject: Subject, snapshot: ClaimSnapshot | None) -> ClaimsExplanation:
    """Returns an empty explanation without claims, or if they are unknown."""
    found = [] if snapshot is None else [*_findings(subject, snapshot)]
    return ClaimsExplanation(
        findings=tuple(each.text for each in found),
        is_blocked=any(each.is_blocked for each in found),
        advice=tuple(dict.fromkeys(each.advice for each in found if each.advice)),
    )


def own_claim(subject: Subject) -> str:
    """Returns the ResourceClaim that the scheduler created for the extended resources of a Pod, `namespace/name`; empty without one."""
    status = subject.pod.status.extended_resource_claim_status or {}
    name = status.get("resourceClaimName")
    return f"{subject.pod.metadata.namespace}/{name}" if name else ""


def _findings(subject: Subject, snapshot: ClaimSnapshot) -> Iterator[Finding]:
    namespace = subject.pod.metadata.namespace
    if key := own_claim(subject):
        yield from _explain_claim(key, snapshot)
    created = {
        str(each.get("name")): each.get("resourceClaimName") for each in subject.pod.status.resource_claim_statuses
    }
    for entry in subject.pod.spec.resource_claims:
        name = entry.get("resourceClaimName") or created.get(str(entry.get("name")))
        if name:
            yield from _explain_claim(f"{namespace}/{name}", snapshot)
        elif subject.is_live and (template := entry.get("resourceClaimTemplateName")):
            yield _not_created(namespace, str(template))


def _not_created(namespace: str, template: str) -> Finding:
    return Finding(
        text=f"No ResourceClaim has been created from the ResourceClaimTemplate {namespace}/{template}.",
        is_blocked=True,
        advice=f"Check that the template exists: kubectl get resourceclaimtemplate {template} -n {namespace}",
    )


def _explain_claim(key: str, snapshot: ClaimSnapshot) -> Iterator[Finding]:
    claim = snapshot.claims.get(key)
    if claim is None:
        yield Finding(text=f"The ResourceClaim {key} does not exist.", is_blocked=True)
    elif claim.status.allocation is not None:
        yield Finding(text=f"The ResourceClaim {key} is allocated: {_allocated(claim)}.")
    else:
        for request in claim.spec.devices.requests:
            yield _explain_request(f"The ResourceClaim {key} is not allocated.", request.requirement, snapshot)


def _allocated(claim: ResourceClaim) -> str:
    results = claim.status.allocation.devices.results if claim.status.allocation is not None else ()
    return render_names((f"{each.device} of the pool {each.pool}" for each in results), MOST_NAMES) or "no devices"


def _explain_request(start: str, wanted: DeviceRequirement | None, snapshot: ClaimSnapshot) -> Finding:
    """start: the sentence before."""
    if wanted is None:
        return Finding(text=f"{start} Its alternatives (`firstAvailable`) are evaluated by the scheduler alone.")
    name, amount = wanted.device_class_name, wanted.count or 1
    requests = f"{start} It requests {count(amount, 'device')} of the DeviceClass {name}"
    if name not in snapshot.classes:
        return Finding(text=f"{requests}, which does not exist.", is_blocked=True)
    is_simple = wanted.allocation_mode != "All" and not wanted.admin_access
    if name not in CLASSES.values() or not is_simple:
        return Finding(text=f"{requests}. The scheduler alone evaluates which devices match.")
    return _explain_devices(requests, wanted, amount, select_candidates(name, snapshot.devices))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A device of the requested class.

    is_allocated: a claim has the device, or a device that excludes this device. pods: of these claims. is_uncertain: a MIG device on demand
    on a GPU that has others: the scheduler counts the slices.
    """

    device: ClaimDevice
    node: str
    is_allocated: bool
    pods: tuple[str, ...]
    is_uncertain: bool

    def is_free(self, wanted: DeviceRequirement) -> bool:
        """A request with tolerations can have devices with taints."""
        return not self.is_allocated and bool(wanted.tolerations or not self.device.taints)


def select_candidates(
    device_class: str, devices: Mapping[str, Sequence[ClaimDevice]], claim: str = ""
) -> dict[str, list[Candidate]]:
    """Returns Node -> the devices of a class. claim: the devices of this claim count as free."""
    found = {
        node: [_candidate(each, node, members, claim) for each in members if each.device_class == device_class]
        for node, members in devices.items()
    }
    return {node: candidates for node, candidates in found.items() if candidates}


def _candidate(device: ClaimDevice, node: str, members: Sequence[ClaimDevice], claim: str) -> Candidate:
    others = [each for each in members if set(each.claims) - {claim}]
    beside = [each for each in others if not set(each.counter_sets).isdisjoint(device.counter_sets)]
    taken = [each for each in beside if not (each.is_on_demand and device.is_on_demand)]
    return Candidate(
        device=device,
        node=node,
        is_allocated=bool(taken) or device in others,
        pods=tuple(dict.fromkeys(pod for each in (device, *taken) if each in others for pod in each.pods)),
        is_uncertain=device.is_on_demand and bool(beside),
    )


def _explain_devices(
    requests: str, wanted: DeviceRequirement, amount: int, nodes: Mapping[str, Sequence[Candidate]]
) -> Finding:
    listed = [each for candidates in nodes.values() for each in candidates]
    if not listed:
        return Finding(text=f"{requests}, but no node has such a device in its ResourceSlices.", is_blocked=True)
    free = max(sum(each.is_free(wanted) for each in candidates) for candidates in nodes.values())
    if free >= amount:
        most = f"On one node, at most {count(free, 'device')} of this class {'is' if free == 1 else 'are'} free"
        return Finding(text=f"{requests}. {most}.{''.join(_unevaluated(wanted, listed))}")
    nowhere = "no node has a free one" if not free else f"no node has more than {free} free"
    return Finding(
        text=f"{requests}, but {nowhere}. Of {count(len(listed), 'device')}, {_describe_taken(listed, wanted)}.",
        is_blocked=True,
        advice="Wait until a pod with such a device ends, delete one, or request fewer devices: gpunode nodes shows the nodes.",
    )


def _unevaluated(wanted: DeviceRequirement, listed: Sequence[Candidate]) -> Iterator[str]:
    if wanted.selectors:
        yield " Its selectors are evaluated by the scheduler alone."
    if any(each.is_uncertain and each.is_free(wanted) for each in listed):
        yield " Whether a MIG device fits beside others of its GPU is evaluated by the scheduler alone."


def _describe_taken(listed: Sequence[Candidate], wanted: DeviceRequirement) -> str:
    allocated = [each for each in listed if each.is_allocated]
    tainted = [each for each in listed if not each.is_allocated and not each.is_free(wanted)]
    pods = dict.fromkeys(pod for each in allocated for pod in each.pods)
    held = f" (by {render_names(pods, MOST_NAMES)})" if pods else ""
    taints = (f"{each.device.name} on {each.node}: {', '.join(each.device.taints)}" for each in tainted)
    parts = (
        f"{len(allocated)} {'is' if len(allocated) == 1 else 'are'} allocated{held}" if allocated else "",
        f"{len(tainted)} {'has a taint' if len(tainted) == 1 else 'have taints'} ({render_names(taints, MOST_NAMES)})"
        if tainted
        else "",
        f"{free} {'is' if free == 1 else 'are'} free" if (free := sum(each.is_free(wanted) for each in listed)) else "",
    )
    return ", ".join(filter(None, parts))

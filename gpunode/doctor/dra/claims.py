"""Checks the driver's record of claims, the CDI specifications of prepared claims, and both against the ResourceClaims of the cluster."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dra_driver.claims.holding import Claim, Claims
from dra_driver.claims.specs import CLAIM_PREFIX, ClaimSpecs, cdi_name
from dra_driver.claims.store import LIMIT, damaged_path, parse_claims
from dra_driver.names import DRIVER
from gpunode.cdi import read_spec_file
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.cluster.claims import read_claims
from gpunode.doctor.check import Check, note, ok, problem
from node_core.decode import describe_os_error
from node_core.errors import ClaimError, KubeError
from node_core.kube.http import ApiClient

AGAIN = "wait some seconds and run doctor again. If the problem stays, "
CLEANED = (
    "gpu-dra-driver reverts such claims within five minutes. If the claim stays, read the log of gpu-dra-driver:"
    " the events claim_not_checked and claims_not_checked"
)
DAMAGED = (
    "gpu-dra-driver found a damaged record, renamed it to {}, and recovered the claims from their CDI specifications"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """claims: of this boot, by UID; None if unknown."""

    claims: Claims | None
    checks: tuple[Check, ...] = ()


def read_recorded(path: Path, boot_id: str) -> Recorded:
    """Reads the file of the driver without changing it. boot_id: of this boot; empty if unknown."""
    claims, checks = _read(path, boot_id)
    damaged = damaged_path(path)
    if damaged.exists():
        todo = f"check the disk. Replace the pods with MPS of that time, whose daemons were not recovered. Then remove {damaged}"
        checks = (*checks, problem("claims file", DAMAGED.format(damaged), todo))
    return Recorded(claims=claims, checks=checks)


def _read(path: Path, boot_id: str) -> tuple[Claims | None, tuple[Check, ...]]:
    try:
        with path.open("rb") as file:
            stored = parse_claims(file.read(LIMIT), path)
    except FileNotFoundError:
        return {}, (note("claims file", f"{path} does not exist: gpu-dra-driver has recorded no claim yet"),)
    except OSError as error:
        return None, (note("claims file", f"unknown: {path} {describe_os_error(error)}. Run doctor as root"),)
    except ClaimError as error:
        return None, (problem("claims file", error.message, str(error.hint)),)
    except ValueError as error:
        todo = "gpu-dra-driver renames the file within five minutes, and recovers the claims. If the driver does not run, start it"
        return None, (problem("claims file", f"{path} is damaged: {error}", todo),)
    if boot_id and stored.boot_id and stored.boot_id != boot_id:
        sentence = f"{path} is of another boot, so none of its claims is prepared. The kubelet prepares the claims of its pods again"
        return {}, (note("claims file", sentence),)
    prepared = sum(each.is_prepared for each in stored.claims.values())
    return stored.claims, (ok("claims file", f"{path} records {_claims(len(stored.claims))}, {prepared} prepared"),)


def check_specs(folder: Path, claims: Claims) -> Iterator[Check]:
    """Checks the CDI specification of each prepared claim. folder: that the container runtime reads."""
    prepared = {uid: each for uid, each in claims.items() if each.is_prepared}
    found = [check for uid, claim in prepared.items() if (check := _check_spec(folder, uid, claim)) is not None]
    yield from found
    try:
        uids = ClaimSpecs(folder).uids()
    except ClaimError as error:
        yield note("claim cdi", f"unknown: {error}")
        return
    if left := [uid for uid in uids if uid not in claims]:
        sentence = f"{folder} has a CDI specification for {_claims(len(left))} that gpu-dra-driver does not record: {', '.join(left)}"
        yield note("claim cdi", f"{sentence}. It is without effect")
    if not found and prepared:
        yield ok("claim cdi", f"the CDI specifications of {_claims(len(prepared))} in {folder} are valid")


def _check_spec(folder: Path, uid: str, claim: Claim) -> Check | None:
    path = folder / f"{CLAIM_PREFIX}{uid}.json"
    todo = "gpu-dra-driver writes the file again after its next discovery. If the problem stays, read its log: the event claims_not_checked"
    try:
        exists = path.exists()
    except OSError as error:
        return note("claim cdi", f"unknown: {path} {describe_os_error(error)}. Run doctor as root")
    if not exists:
        return problem(
            "claim cdi",
            f"the claim {claim.ref(uid)} is prepared, but {path} does not exist, so its containers cannot start",
            todo,
        )
    file = read_spec_file(path)
    if file.problems:
        why = "; ".join(each.removeprefix(f"{path}: ") for each in file.problems)
        return problem("claim cdi", f"the claim {claim.ref(uid)}: {path} is not valid: {why}", todo)
    missing = [each.device for each in claim.holdings if cdi_name(uid, each.device) not in file.devices]
    if missing:
        return problem("claim cdi", f"the claim {claim.ref(uid)}: {path} lacks {', '.join(missing)}", todo)
    return None


def list_node_claims(api: ApiClient, version: str, node: str) -> tuple[ResourceClaim, ...] | str:
    """Returns the claims with a device of the Node, or why they are unknown. version: of resource.k8s.io."""
    try:
        return tuple(each for each in read_claims(api, version) if _devices(each, node))
    except KubeError as error:
        return str(error)


def check_allocated(listed: Collection[ResourceClaim], claims: Claims, node: str) -> Iterator[Check]:
    """Compares the claims of the cluster with the record. listed: those with a device of the Node, read before the record. PURE."""
    by_uid = {each.metadata.uid: each for each in listed}
    found = [*_check_unprepared(listed, claims), *_check_stale(by_uid, claims, node)]
    yield from found
    reserved = sum(bool(each.pods) for each in listed)
    if not found and (listed or claims):
        prepared = "each of them is prepared" if reserved else "none is needed now"
        yield ok(
            "claims",
            f"{_claims(len(listed))} of the cluster have GPUs of this node, {reserved} of them with pods: {prepared}",
        )


def _check_unprepared(listed: Iterable[ResourceClaim], claims: Claims) -> Iterator[Check]:
    for each in listed:
        record = claims.get(each.metadata.uid)
        if not each.pods or (record is not None and record.is_prepared):
            continue
        pod = f"{each.metadata.namespace}/{each.pods[0]}"
        how = "its preparation has not ended" if record is not None else "it is not prepared"
        where = f"kubectl -n {each.metadata.namespace} describe pod {each.pods[0]}"
        todo = f"{AGAIN}{where}: the Event FailedPrepareDynamicResources states why"
        yield problem("claims", f"the claim {each.key} is reserved for the pod {pod}, but {how}", todo)


def _check_stale(by_uid: Mapping[str, ResourceClaim], claims: Claims, node: str) -> Iterator[Check]:
    for uid, record in claims.items():
        if not record.is_prepared:
            continue
        found = by_uid.get(uid)
        held = {each.device for each in record.holdings}
        if found is None:
            yield problem(
                "claims",
                f"the claim {record.ref(uid)} is prepared, but it does not exist any more, or has no device of this node",
                CLEANED,
            )
        elif held != (wanted := _devices(found, node)):
            names, allocated = ", ".join(sorted(held)), ", ".join(sorted(wanted))
            sentence = f"the claim {record.ref(uid)} is prepared with {names}, but {allocated} are allocated"
            yield problem("claims", sentence, CLEANED)


def _devices(claim: ResourceClaim, node: str) -> set[str]:
    """Returns the devices of the Node that are allocated to the claim, also those with admin access."""
    allocation = claim.status.allocation
    results = allocation.devices.results if allocation is not None else ()
    return {each.device for each in results if each.driver == DRIVER and each.pool == node}


def _claims(number: int) -> str:
    return f"{number} claim{'' if number == 1 else 's'}"

"""Prepares and reverts claims: record, change the GPUs, write the CDI specification, record the end, start the MPS daemon.

Each step can be repeated, so a killed driver continues with the next call of the kubelet. What two claims hold never overlaps: the
record of a claim comes before its first change, and the record is removed after the last one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
import structlog

from dra_driver.claims.allocation import AllocatedDevice, holds, parse_allocation
from dra_driver.claims.edits import select_edits
from dra_driver.claims.holding import Claim, Claims, Holding, NodeDevices, find_conflicts, plan_holdings
from dra_driver.claims.layout import find_mig_uuid, plan_layouts, plan_release
from dra_driver.claims.ref import ClaimRef, check_ref
from dra_driver.claims.specs import cdi_name, plan_spec
from dra_driver.claims.surroundings import Obj, Surroundings
from dra_driver.kubelet.services import PreparedDevice
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import merge
from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.plan import GpuPlan
from node_core.errors import ClaimError, KubeError, MigError, NvmlError

log = structlog.get_logger(__name__)


RETRY_SECONDS = 25.0
"""How long a call of the kubelet waits for the API server: with one more request less than the kubelet waits for a response (45 s)."""
_RETRY = 0.5


class ClaimPreparer:
    """Thread-safe. Each method raises NodeError."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def prepare(self, ref: ClaimRef) -> tuple[PreparedDevice, ...]:
        """Returns the devices of a claim. A claim that is prepared already is not changed, and does not need the API server.

        Waits for an API server that does not respond, because the kubelet repeats a failed call only after 60 to 90 s.
        """
        check_ref(ref)
        ends_at = self._around.clock() + RETRY_SECONDS
        while True:
            try:
                return self._prepare_once(ref)
            except KubeError as error:
                if error.is_final or self._around.clock() >= ends_at:
                    raise
            self._around.sleep(_RETRY)

    def _prepare_once(self, ref: ClaimRef) -> tuple[PreparedDevice, ...]:
        allocated = self._read_allocation(ref)
        with self._locked() as recorded:
            claims, known = recorded, recorded.get(ref.uid)
            if known is not None and not isinstance(allocated, KubeError) and not known.has(allocated):
                claims, known = self._release(ref.uid, claims), None
            if known is not None and known.is_prepared and self._around.specs.exists(ref.uid):
                self._around.daemons.reconcile(claims)
            elif isinstance(allocated, KubeError):
                raise allocated
            else:
                known = self._prepare(ref, allocated, claims)
        self._around.daemons.await_ready(ref.uid, known)
        return _respond(ref.uid, known)

    def _prepare(self, ref: ClaimRef, allocated: tuple[AllocatedDevice, ...], claims: Claims) -> Claim:
        node = self._around.hardware.read()
        holdings = plan_holdings(ref, allocated, node)
        free = self._make_room(ref, holdings, claims)
        if free is not claims:
            claims, node = free, self._around.hardware.read()
        self._around.daemons.reconcile(
            claims
        )  # daemons of claims that are gone end, and free their GPUs for the next call
        self._around.daemons.check(ref.uid, _full_gpus(holdings), has_mps=any(each.mps for each in holdings))
        claim = Claim(namespace=ref.namespace, name=ref.name, is_prepared=False, holdings=holdings)
        self._around.store.write({**claims, ref.uid: claim})
        left, uuids = self._make_or_retry(ref.uid, {**claims, ref.uid: claim}, node)
        done = Claim(namespace=ref.namespace, name=ref.name, is_prepared=True, holdings=_made(holdings, uuids))
        claims = {**left, ref.uid: done}
        self._around.store.write(claims)
        self._around.daemons.reconcile(claims)
        log.info("claim_prepared", claim=str(ref), uid=ref.uid, devices=[each.device for each in holdings])
        return done

    def _read_allocation(self, ref: ClaimRef) -> tuple[AllocatedDevice, ...] | KubeError:
        """Raises ClaimError."""
        try:
            claim = self._around.claims.get(ref.namespace, ref.name)
        except KubeError as error:
            return error
        return parse_allocation(claim, ref, self._around.pool)

    def unprepare(self, ref: ClaimRef) -> None:
        """Reverts a claim. A claim that is not prepared is not an error."""
        check_ref(ref)
        with self._locked() as claims:
            if ref.uid in claims:
                self._release(ref.uid, claims)
                log.info("claim_unprepared", claim=str(ref), uid=ref.uid)
            else:
                self._around.specs.remove(ref.uid)

    def recover(self) -> None:
        """At the start: reads the record, and recovers it from the CDI specifications if it is damaged."""
        with self._locked():
            pass

    def clean(self) -> None:
        """Reverts the claims that do not exist any more, or are not allocated any more: the kubelet may not know them.

        First starts the daemons and restores the time slices that an earlier process or an error has left.
        """
        with self._locked() as claims:
            self._around.daemons.reconcile(claims)
            self._set_time_slices(claims)
        is_named = all(claim.name for claim in claims.values())
        unnamed = {} if is_named else {_uid(each): each for each in self._around.claims.list_all()}
        for uid, claim in claims.items():
            found = self._around.claims.get(claim.namespace, claim.name) if claim.name else unnamed.get(uid)
            try:
                self._check(uid, claim, found)
            except (ClaimError, MigError, NvmlError) as error:  # one claim must not leave the others unchecked
                log.warning("claim_not_checked", claim=str(claim.ref(uid)), uid=uid, why=str(error))

    def refresh(self) -> None:
        """Writes the CDI specifications of prepared claims again whose content has changed, for example with the files of the driver.

        A claim whose devices cannot be described now keeps its specification.
        """
        with self._locked() as claims:
            prepared = {uid: claim for uid, claim in claims.items() if claim.is_prepared}
            if not prepared:
                return
            node = self._around.hardware.read()
            plan = self._around.hardware.plan_cdi(node.inventory)
            for uid, claim in prepared.items():
                self._refresh(uid, claim, node, plan)

    def _refresh(self, uid: str, claim: Claim, node: NodeDevices, plan: CdiPlan) -> None:
        try:
            if self._write_spec(uid, claim, node, plan):
                log.info("claim_specification_changed", claim=str(claim.ref(uid)), uid=uid)
        except ClaimError as error:
            log.debug("claim_specification_not_changed", claim=str(claim.ref(uid)), uid=uid, why=str(error))

    def _check(self, uid: str, claim: Claim, found: Obj | None) -> None:
        if not self._holds(found, uid, claim):
            self._revert_stale(uid)
        elif found is not None and not claim.name:
            self._complete(uid, found)

    def _revert_stale(self, uid: str) -> None:
        """Reads the claim again while no claim can be prepared: the scheduler may have allocated the claim again meanwhile."""
        with self._locked() as claims:
            if uid in claims and not self._is_alive(uid, claims[uid]):
                self._revert((uid,), claims)

    def close(self, *, is_final: bool) -> None:
        """Claims stay prepared. is_final: the process ends."""
        self._around.daemons.close(is_final=is_final)

    def prepared(self) -> Claims:
        """Returns the claims of the node."""
        with self._locked() as claims:
            return dict(claims)

    @contextmanager
    def _locked(self) -> Iterator[Claims]:
        with self._around.store.lock():
            stored = self._around.store.read()
            claims = stored.claims
            if stored.is_new_boot:
                for uid in self._around.specs.uids():
                    self._around.specs.remove(uid)
                self._around.store.write({})
            elif stored.problem is not None:
                claims = self._rebuild()
                self._around.store.write(claims)
            yield claims

    def _rebuild(self) -> Claims:
        """The claims that have a CDI specification. They count as not prepared, so that the next call of the kubelet completes them."""
        uids = self._around.specs.uids()
        if not uids:
            return {}
        node, found = self._around.hardware.read(), {}
        for uid in uids:
            ref = ClaimRef(namespace="", name="", uid=uid)
            names = [each for each in self._around.specs.devices(uid) if each in node.devices]
            holdings = plan_holdings(
                ref, [AllocatedDevice(request="", pool=self._around.pool, device=each) for each in names], node
            )
            found[uid] = Claim(namespace="", name="", is_prepared=False, holdings=holdings)
        log.warning("claims_recovered", uids=list(found), source="CDI specifications")
        return found

    def _make_room(self, ref: ClaimRef, holdings: tuple[Holding, ...], claims: Claims) -> Claims:
        """Reverts stale claims that overlap. Raises ClaimError if an overlapping claim is not stale."""
        conflicts = dict(find_conflicts(ref.uid, holdings, claims))
        for uid, held in conflicts.items():
            if self._is_alive(uid, claims[uid]):
                other = claims[uid].ref(uid)
                raise ClaimError(f"claim {ref}: the claim {other} holds {held.device}", hint="wait until its pods end")
        return self._revert(conflicts, claims)

    def _is_alive(self, uid: str, claim: Claim) -> bool:
        if claim.name:
            return self._holds(self._around.claims.get(claim.namespace, claim.name), uid, claim)
        return any(self._holds(each, uid, claim) for each in self._around.claims.list_all())

    def _holds(self, found: Obj | None, uid: str, claim: Claim) -> bool:
        return holds(found, claim.ref(uid), self._around.pool, (each.device for each in claim.holdings))

    def _make_or_retry(self, uid: str, claims: Claims, node: NodeDevices) -> tuple[Claims, Mapping[str, str]]:
        """Makes the devices of a claim. Returns the claims that are left, and the UUIDs of the devices.

        A claim without overlapping memory can still occupy an engine: `1g.10gb+me` exists once for each GPU. So stale claims on the GPU are
        reverted if the GPU refuses the change.
        """
        try:
            return claims, self._make(uid, claims, node)
        except MigError:
            gpus = {each.gpu for each in claims[uid].holdings}
            others = [one for one, claim in claims.items() if one != uid and any(h.gpu in gpus for h in claim.holdings)]
            rest = self._revert([one for one in others if not self._is_alive(one, claims[one])], claims)
            if rest is claims:
                raise
            return rest, self._make(uid, rest, self._around.hardware.read())

    def _revert(self, stale: Iterable[str], claims: Claims) -> Claims:
        for uid in stale:
            log.info("stale_claim_reverted", claim=str(claims[uid].ref(uid)), uid=uid)
            claims = self._release(uid, claims)
        return claims

    def _make(self, uid: str, claims: Claims, node: NodeDevices) -> Mapping[str, str]:
        """Returns the UUID of each device."""
        plans = plan_layouts(uid, claims, node.mig_gpus)
        self._apply(plans)
        if plans:
            node = self._around.hardware.read()
        self._set_time_slices(claims, _full_gpus(claims[uid].holdings))
        self._write_spec(uid, claims[uid], node, self._around.hardware.plan_cdi(node.inventory))
        return _uuids(claims[uid], node)

    def _write_spec(self, uid: str, claim: Claim, node: NodeDevices, plan: CdiPlan) -> bool:
        """Writes the specification of a claim, unless it has this content already. Returns whether it wrote."""
        uuids = _uuids(claim, node)
        edits, common = select_edits(plan, tuple(uuids.values()), is_simulated=node.inventory.simulated)
        devices = {name: edits[uuid] for name, uuid in uuids.items()}
        for each in claim.holdings:
            if each.mps is not None:
                devices[each.device] = merge((devices[each.device], self._around.daemons.edits(uid)))
        return self._around.specs.write(uid, plan_spec(uid, devices, common))

    def _set_time_slices(self, claims: Claims, gpus: Collection[str] | None = None) -> None:
        """gpus: of one claim, and then raises ClaimError if one cannot be set; None for all GPUs of the node."""
        held = [each for claim in claims.values() for each in claim.holdings]
        wanted = {each.gpu: each.time_slice for each in held if each.time_slice is not None}
        failed = self._around.time_slices.set(wanted, gpus)
        for gpu, why in failed.items():
            if gpus is not None:
                raise ClaimError(f"the time slice of {gpu} cannot be set: {why}")
            log.warning("time_slice_not_set", gpu=gpu, why=why)

    def _release(self, uid: str, claims: Claims) -> Claims:
        """Removes the specification first, so that no container starts with a device that goes away."""
        self._around.specs.remove(uid)
        rest = {other: claim for other, claim in claims.items() if other != uid}
        self._around.daemons.stop(uid, rest)
        self._restore_time_slices(rest, _full_gpus(claims[uid].holdings))
        gpus = {each.gpu for each in claims[uid].holdings if each.profile is not None and not each.is_admin}
        if gpus and self._around.hardware.has_dynamic_mig:
            self._destroy(gpus, rest)
        self._around.store.write(rest)
        return rest

    def _restore_time_slices(self, claims: Claims, gpus: Collection[str]) -> None:
        """A GPU that does not respond does not prevent the end of a pod: its next claim waits until the time slice is restored."""
        try:
            self._set_time_slices(claims, gpus)
        except ClaimError as error:
            log.warning("time_slice_left", why=str(error))

    def _destroy(self, gpus: set[str], claims: Claims) -> None:
        """A GPU that cannot be read does not prevent the end of a pod: its instances go when the GPU is changed next."""
        try:
            node = self._around.hardware.read()
        except NvmlError as error:
            log.warning("mig_instances_left", gpus=sorted(gpus), why=str(error))
            return
        self._apply(plan_release(gpus, claims, node.mig_gpus))

    def _apply(self, plans: tuple[GpuPlan, ...]) -> None:
        try:
            for plan in plans:
                self._around.hardware.apply(plan)
        finally:
            if plans:
                self._around.on_change()

    def _complete(self, uid: str, found: Obj) -> None:
        """Completes the record of a claim that was recovered from its CDI specification."""
        ref = ClaimRef(namespace=found["metadata"]["namespace"], name=found["metadata"]["name"], uid=uid)
        allocated = parse_allocation(found, ref, self._around.pool)
        with self._locked() as claims:
            if uid in claims and not claims[uid].name:
                holdings = plan_holdings(ref, allocated, self._around.hardware.read())
                claim = Claim(namespace=ref.namespace, name=ref.name, is_prepared=False, holdings=holdings)
                self._around.store.write({**claims, uid: claim})


def _uuids(claim: Claim, node: NodeDevices) -> Mapping[str, str]:
    """Returns the UUID of each device. Raises ClaimError."""
    return {
        each.device: each.mig or (find_mig_uuid(each, node.mig_gpus) if each.slices else each.gpu)
        for each in claim.holdings
    }


def _full_gpus(holdings: Iterable[Holding]) -> tuple[GpuUuid, ...]:
    return tuple(GpuUuid(each.gpu) for each in holdings if not each.slices and not each.is_admin)


def _made(holdings: tuple[Holding, ...], uuids: Mapping[str, str]) -> tuple[Holding, ...]:
    """Records the UUIDs of the devices that an MPS daemon serves, so that the next process can start the daemon again."""
    return tuple(
        each
        if each.mps is None
        else msgspec.structs.replace(each, mps=msgspec.structs.replace(each.mps, visible=uuids[each.device]))
        for each in holdings
    )


def _uid(claim: Obj) -> str:
    return str(claim.get("metadata", {}).get("uid"))


def _respond(uid: str, claim: Claim) -> tuple[PreparedDevice, ...]:
    return tuple(
        PreparedDevice(
            requests=each.requests,
            pool=each.pool,
            device=each.device,
            cdi=(cdi_name(uid, each.device),),
            share_id=each.share_id,
        )
        for each in claim.holdings
    )

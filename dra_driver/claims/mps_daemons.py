"""The MPS daemons of claims: one for each prepared claim with MPS, in a folder of its own.

A daemon that ends is started again in the same folder. A daemon that outlives the driver is adopted by the next process.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Condition

import structlog

from dra_driver.claims.holding import Claim, Claims
from dra_driver.claims.sharing import claim_resource
from gpu_core.domain.cdi import SOCKET, Edits, MountEdit
from gpu_core.domain.inventory import GpuUuid
from gpu_core.mps.control import MpsFolder
from gpu_core.mps.manager import MpsManager
from gpu_core.mps.spec import STARTING, MpsDaemonSpec, MpsGpu, mps_access
from gpu_core.mps.state import discover_folders, read_state
from gpu_core.mps.tools import DriverPrograms, mps_root, mps_tools
from node_core.errors import ClaimError, NodeError

log = structlog.get_logger(__name__)

READY_SECONDS = 10.0
"""How long a call of the kubelet waits for a daemon. The next call of the kubelet continues."""
END_SECONDS = 10.0


class ClaimDaemons:
    """host_root: the MPS root on the host; None if MPS is not set up. programs: finds the programs of the driver.

    may_open: whether NVML may be opened. reconcile, stop: one call at a time; the other methods are thread-safe.
    """

    def __init__(
        self, host_root: str | None, programs: Callable[[], DriverPrograms], may_open: Callable[[], bool]
    ) -> None:
        self._host_root = None if host_root is None else dra_root(host_root)
        self._programs = programs
        self._changed = Condition()
        self._manager = MpsManager(self._notify, may_open)

    def check(self, uid: str, gpus: Iterable[GpuUuid], *, has_mps: bool) -> None:
        """Raises ClaimError if the claim needs MPS and MPS is not set up, or if the daemon of another claim still has one of the GPUs."""
        root, wanted = self._root, {*gpus}
        if root is None:
            if has_mps:
                raise _no_root()
            return
        for resource in discover_folders(root):
            state = read_state(MpsFolder(base=root / resource))
            if resource != claim_resource(uid) and state is not None and not wanted.isdisjoint(state.modes):
                raise ClaimError(f"the MPS daemon of the claim {resource.partition('/')[2]} still has one of its GPUs")

    def edits(self, uid: str) -> Edits:
        """What a container needs to connect to the daemon of a claim. Raises ClaimError if MPS is not set up any more."""
        if self._host_root is None:
            raise _no_root()
        access = mps_access(claim_resource(uid), self._host_root)
        mounts = {access.container_pipe: access.pipe, "/dev/shm": access.shm}  # noqa: S108  # nosec B108 # in the container
        return Edits(
            env=(f"CUDA_MPS_PIPE_DIRECTORY={access.container_pipe}",),
            mounts=tuple(
                MountEdit(host_path=host, container_path=path, options=SOCKET) for path, host in mounts.items()
            ),
        )

    def reconcile(self, claims: Claims) -> None:
        """Starts, adopts and stops daemons, so that each prepared claim with MPS has its own. Returns at once.

        The daemon of a claim that is not prepared stays as it is: of a claim that was recovered, the settings are unknown.
        """
        if self._root is None:
            return
        desired = {claim_resource(uid): spec for uid, claim in claims.items() if (spec := plan_daemon(uid, claim))}
        unknown = {claim_resource(uid) for uid, claim in claims.items() if not claim.is_prepared}
        with self._changed:
            if desired or self._manager.desired or any(discover_folders(self._root)):
                self._manager.reconcile(desired, mps_tools(self._host_root, self._find_programs()), ignored=unknown)
        self._remove_folders(self._root, claims)

    def await_ready(self, uid: str, claim: Claim) -> None:
        """Waits for the daemon of a claim that has one. Raises ClaimError if clients cannot connect to the daemon now."""
        if not any(each.mps for each in claim.holdings):
            return
        if self._host_root is None:
            raise _no_root()
        with self._changed:
            self._changed.wait_for(lambda: self._problem(uid) != STARTING, READY_SECONDS)
            problem = self._problem(uid)
        if problem is not None:
            raise ClaimError(f"claim {claim.ref(uid)}: {problem}")

    def stop(self, uid: str, rest: Claims) -> None:
        """Stops the daemon of a claim that is not in `rest`. Compute modes that cannot be restored now are restored later."""
        self.reconcile(rest)
        if self._root is None:
            return
        resource = claim_resource(uid)
        with self._changed:
            has_ended = self._changed.wait_for(lambda: self._manager.has_ended(resource), END_SECONDS)
        if not has_ended:
            log.warning("mps_daemon_left", claim=uid, why="the daemon or its compute modes need more time")
        self._remove_folders(self._root, rest)

    def close(self, *, is_final: bool) -> None:
        """The daemons continue to run. In a container they end with the process: then they end first, and the next process starts them."""
        with self._changed:
            self._manager.close(is_final=is_final)

    def _find_programs(self) -> DriverPrograms:
        """A driver that cannot be read does not prevent the end of claims. Without programs no daemon starts."""
        try:
            return self._programs()
        except NodeError as error:
            log.warning("mps_programs_not_read", why=str(error))
            return DriverPrograms()

    @property
    def _root(self) -> Path | None:
        return None if self._host_root is None else mps_root(self._host_root)

    def _problem(self, uid: str) -> str | None:
        return self._manager.problems().get(claim_resource(uid))

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _remove_folders(self, root: Path, claims: Claims) -> None:
        """Removes the folders of claims that are gone, after their daemons."""
        left = {*discover_folders(root)}
        for path in root.glob(claim_resource("*")):
            resource = claim_resource(path.name)
            with self._changed:
                if path.name not in claims and resource not in left and self._manager.has_ended(resource):
                    shutil.rmtree(path, ignore_errors=True)


def _no_root() -> ClaimError:
    hint = "set --mps-root (chart values mps.root and privileged)"
    return ClaimError("MPS needs a folder for its daemons", hint=hint)


def dra_root(mps_root: str) -> str:
    """Returns the folder of this driver below --mps-root. The daemons of gpu-device-plugin are next to it."""
    return f"{mps_root.rstrip('/')}/dra"


def plan_daemon(uid: str, claim: Claim) -> MpsDaemonSpec | None:
    """Returns the daemon of a prepared claim; None if the claim needs none."""
    shares = sorted((each.mps for each in claim.holdings if each.mps is not None), key=lambda share: share.index)
    if not claim.is_prepared or not shares:
        return None
    return MpsDaemonSpec(
        resource=claim_resource(uid),
        gpus=tuple(MpsGpu(uuid=GpuUuid(each.visible), memory_mib=each.memory_mib, replicas=1) for each in shares),
        threads=shares[0].threads,
    )

"""A node with a driver: files of sysfs and of /run/nvidia, mounts, and an API server with the Node and its pods."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driver_manager.clients import NvmlRelease
from driver_manager.cordon import NodeCordon
from driver_manager.driver_files import DriverFiles
from driver_manager.evictor import EvictionPolicy, Evictor
from driver_manager.modules import ModuleUnloader
from driver_manager.plan import WantedDriver
from driver_manager.uninstaller import DriverUninstaller, Options
from driver_manager.wait import Waiter
from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import Pause
from node_core.errors import KubeError
from node_core.host.root import HostRoot
from node_core.kube.client import NodeApi
from node_core.kube.pods import PodApi

Obj = dict[str, Any]
NODE = "n1"
WANTED = WantedDriver(digest="a")
DCGM = "nvidia.com/gpu.deploy.dcgm"
LOADED = {"nvidia": 2, "nvidia_uvm": 0, "nvidia_modeset": 0, "nvidia_drm": 0}
USES = {"nvidia_uvm": "nvidia", "nvidia_modeset": "nvidia", "nvidia_drm": "nvidia_modeset"}


class Killed(BaseException):
    """The process ends at once. No `except` clause of the product catches this exception."""


def pod(
    name: str, *, gpus: int = 0, kind: str = "ReplicaSet", selector: dict[str, str] | None = None, claim: str = ""
) -> Obj:
    owners = [{"kind": kind, "name": "o", "uid": "o", "controller": True}] if kind else []
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    claims = [{"name": "gpu", "resourceClaimName": claim}] if claim else []
    containers = [{"name": "c", "resources": {"limits": limits}}]
    return {
        "metadata": {"name": name, "namespace": "ml", "uid": f"uid-{name}", "ownerReferences": owners},
        "spec": {"nodeSelector": selector or {}, "containers": containers, "resourceClaims": claims},
        "status": {"phase": "Running"},
    }


class FakeApi(NodeApi):
    """Serves the Node and its pods. An eviction ends the pod, except for names in `protected`.

    claims: ResourceClaim -> the driver of its device. errors: raised by the next requests.
    """

    def __init__(self, effect: Callable[[str], None]) -> None:
        super().__init__(NODE, kubeconfig=None, user_agent="test")
        self.node: Obj = {
            "metadata": {"name": NODE, "resourceVersion": "1", "labels": {}, "annotations": {}},
            "spec": {},
        }
        self.pods: dict[str, Obj] = {}
        self.claims: dict[str, str] = {}
        self.protected: set[str] = set()
        self.errors: list[KubeError] = []
        self.writes: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self._effect = effect

    def request(self, verb: str, path: str, **request: Any) -> Obj:
        self.requests.append((verb, path))
        if self.errors:
            raise self.errors.pop(0)
        if verb != "GET":
            self._effect(f"{verb} {path}")
            self.writes.append(f"{verb} {path}")
        if path.startswith("/apis/resource.k8s.io"):
            return self._claims(path)
        if path == "/api/v1/pods":
            return {"items": self._running()}
        if path.endswith("/eviction"):
            return self._evict(path.split("/")[-2])
        return deepcopy(self.node) if verb == "GET" else self._patch(request["body"])

    def _running(self) -> list[Obj]:
        """The DaemonSet controller ends pods whose node selector no longer matches."""
        labels = self.node["metadata"]["labels"]
        for name, each in list(self.pods.items()):
            if each["spec"]["nodeSelector"].items() - labels.items():
                del self.pods[name]
        return list(self.pods.values())

    def _claims(self, path: str) -> Obj:
        if path == "/apis/resource.k8s.io":
            return {"versions": [{"version": "v1"}]}
        return {
            "status": {
                "allocation": {"devices": {"results": [{"driver": self.claims[path.rsplit("/", maxsplit=1)[-1]]}]}}
            }
        }

    def _evict(self, name: str) -> Obj:
        if name in self.protected:
            raise KubeError("a disruption budget forbids the eviction", status=429)
        self.pods.pop(name, None)
        return {}

    def _patch(self, body: Obj) -> Obj:
        metadata = self.node["metadata"]
        if body["metadata"].get("resourceVersion", metadata["resourceVersion"]) != metadata["resourceVersion"]:
            raise KubeError("the Node has changed", status=409)
        for key in ("labels", "annotations"):
            _merge(metadata[key], body["metadata"].get(key, {}))
        _merge(self.node["spec"], body.get("spec", {}))
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        return deepcopy(self.node)


def _merge(target: Obj, patch: Obj) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value


@dataclass
class Place:
    """effects: what has changed the node, in order. kill_at: the number of the effect before which the process ends; None for never.

    users: of the device nodes. now: the clock, which `sleep` moves.
    """

    base: Path
    effects: list[str] = field(default_factory=list)
    kill_at: int | None = None
    mounts: list[str] = field(default_factory=list)
    users: tuple[str, ...] = ()
    now: float = 0.0
    on_sleep: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.api = FakeApi(self.effect)
        for folder in ("proc/sys/kernel", "sys/module", "run/nvidia", "run/gpunode"):
            (self.base / folder).mkdir(parents=True)
        (self.base / "proc/sys/kernel/osrelease").write_text("6.8.0")

    @property
    def run(self) -> Path:
        return self.base / "run/nvidia"

    @property
    def driver(self) -> str:
        return str(self.run / "driver")

    @property
    def loaded(self) -> list[str]:
        return sorted(path.name for path in (self.base / "sys/module").iterdir())

    def effect(self, name: str) -> None:
        if self.kill_at is not None and len(self.effects) >= self.kill_at:
            raise Killed
        self.effects.append(name)

    def load(self, modules: dict[str, int], version: str = "550.54.15") -> None:
        for name, references in modules.items():
            folder = self.base / "sys/module" / name
            (folder / "holders").mkdir(parents=True)
            (folder / "refcnt").write_text(f"{references}\n")
        for name, used in USES.items():
            if name in modules:
                (self.base / "sys/module" / used / "holders" / name).mkdir()
        if "nvidia" in modules:
            (self.base / "sys/module/nvidia/version").write_text(f"{version}\n")

    def install_container(self, digest: str = "a") -> None:
        """What a driver container leaves behind that has ended without its own cleaning."""
        self.mounts += [self.driver, f"{self.driver}/dev", self.driver]
        (self.run / "nvidia-driver.state").write_text(f"{digest}\n")
        (self.run / "nvidia-driver.pid").write_text("7")

    def delete(self, name: str) -> None:
        folder = self.base / "sys/module" / name
        if not folder.exists():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if list((folder / "holders").iterdir()) or self.users:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.effect(f"delete {name}")
        shutil.rmtree(folder)
        for holder in (self.base / "sys/module").glob(f"*/holders/{name}"):
            holder.rmdir()

    def unmount(self, point: str) -> None:
        self.effect(f"unmount {point}")
        del self.mounts[len(self.mounts) - 1 - self.mounts[::-1].index(point)]

    def mountinfo(self) -> str:
        return "".join(f"36 35 98:0 / {point} rw - ext4 x rw\n" for point in ["/", *self.mounts])

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()

    def uninstaller(
        self,
        wanted: WantedDriver = WANTED,
        policy: EvictionPolicy | None = None,
        *,
        evicts_gpu_pods: bool = True,
        drains: bool = False,
    ) -> DriverUninstaller:
        root, waiter = HostRoot(self.base), Waiter(clock=lambda: self.now, sleep=self.sleep)
        return DriverUninstaller(
            root=root,
            files=DriverFiles(folder=self.run, read_mounts=self.mountinfo, unmount=self.unmount),
            unloader=ModuleUnloader(root=root, delete=self.delete, list_users=lambda: self.users, sleep=self.sleep),
            release=NvmlRelease(lock_dir=self.base / "run/gpunode", waiter=waiter, wall=lambda: self.now),
            pause=DaemonSetPause(
                api=self.api, list_pods=PodApi(self.api).list_on_node, manager="m", pause=Pause.DRIVER_UPGRADE
            ),
            cordon=NodeCordon(api=self.api, node_name=NODE, manager="m"),
            evictor=Evictor(api=self.api, node_name=NODE, policy=policy or EvictionPolicy(seconds=5.0), waiter=waiter),
            waiter=waiter,
            options=Options(wanted=wanted, evicts_gpu_pods=evicts_gpu_pods, drains=drains),
        )

    def add_pods(self, pods: Iterable[Obj]) -> None:
        self.api.pods |= {each["metadata"]["name"]: each for each in pods}

    def enable_dcgm(self) -> None:
        self.api.node["metadata"]["labels"][DCGM] = "true"
        self.add_pods([pod("dcgm", kind="DaemonSet", selector={DCGM: "true"})])

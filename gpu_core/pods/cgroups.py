"""Finds pods and containers in the names of cgroups. PURE.

The kubelet and the runtimes name the cgroups: `pod<UID>`, or `kubepods-burstable-pod<UID with _>.slice` with systemd, and below it the
container: `<id>`, `cri-containerd-<id>.scope`, `crio-<id>.scope`, `docker-<id>.scope`, or `<slice>:cri-containerd:<id>`.
Sources: cgroups(7) and cgroup_namespaces(7); Kubernetes documentation, Container Runtimes (cgroup drivers); OCI runtime-spec, cgroupsPath.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

_POD = re.compile(
    r"(?:.*-)?pod([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}(?:_[0-9a-f]{4}){3}_[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?"
)
"""The kubelet gives 32 hexadecimal digits without dashes to a static pod."""
_CONTAINER = re.compile(r"(?:[a-z]+-)*([0-9a-f]{64})(?:\.scope)?")


class PodCgroup(NamedTuple):
    """uid: as in the API. container_id: 64 hexadecimal digits; empty if the process is in no container of the pod."""

    uid: str
    container_id: str = ""


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the host. started: the latest possible time of its start, in seconds of CLOCK_BOOTTIME.

    pods: around the process, the outermost first.
    """

    started: float
    pods: tuple[PodCgroup, ...] = ()


def parse_cgroup(text: str) -> tuple[PodCgroup, ...]:
    """Parses /proc/<pid>/cgroup, version 1 or 2. Returns the pods around the process, the outermost first.

    In version 1 the first hierarchy with a pod counts. A cgroup namespace shortens the paths to `/../../<pod>/<container>`.
    """
    paths = (line.split(":", 2)[-1] for line in text.splitlines() if line.count(":") > 1)
    return next((pods for path in paths if (pods := tuple(_pods(re.split("[/:]", path))))), ())


def _pods(names: list[str]) -> Iterator[PodCgroup]:
    uids = {place: found[1].replace("_", "-") for place, name in enumerate(names) if (found := _POD.fullmatch(name))}
    for place, end in itertools.pairwise([*uids, len(names)]):
        ids = (found[1] for name in names[place:end] if (found := _CONTAINER.fullmatch(name)))
        yield PodCgroup(uids[place], next(ids, ""))

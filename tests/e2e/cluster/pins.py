"""What a cluster is made of: Go programs whose versions go/*/go.mod pins, and Debian packages; and Helm, which is pinned alike."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A Go program. module: the folder below go/ that pins it. flags: for `go build`."""

    name: str
    package: str
    module: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """A package of Debian, and a file by which it is known to be there."""

    name: str
    file: Path


def required_version(go_mod: str, module: str) -> str:
    """The version that the text of a go.mod requires of a module."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ValueError(f"go.mod requires no {module}")
    return found[1]


KUBERNETES_VERSION = required_version((MODULES / "kubernetes" / "go.mod").read_text(), "k8s.io/kubernetes")

_KUBERNETES = tuple(
    Binary(
        name=name,
        package=f"k8s.io/kubernetes/cmd/{name}",
        module="kubernetes",
        flags=(f"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}",),
    )
    for name in ("kube-apiserver", "kubelet", "kube-scheduler", "kube-controller-manager")
)
_CONTAINERD = tuple(
    Binary(
        name=name,
        package=f"github.com/containerd/containerd/v2/cmd/{name}",
        module="containerd",
        flags=("-ldflags=-s -w", "-tags=no_btrfs,no_zfs,no_aufs,no_devmapper"),
    )
    for name in ("containerd", "containerd-shim-runc-v2", "ctr")
)
_ETCD = Binary(name="etcd", package="go.etcd.io/etcd/server/v3", module="etcd", flags=("-ldflags=-s -w",))

BINARIES = (_ETCD, *_CONTAINERD, *_KUBERNETES)

HELM = Binary(name="helm", package="helm.sh/helm/v4/cmd/helm", module="helm", flags=("-ldflags=-s -w",))
"""Not of the cluster: what the tests of the chart render with."""

DEBIAN_PACKAGES = (
    DebianPackage(name="runc", file=Path("/usr/sbin/runc")),
    DebianPackage(name="busybox-static", file=Path("/bin/busybox")),
    DebianPackage(name="iproute2", file=Path("/sbin/ip")),
    DebianPackage(name="nftables", file=Path("/usr/sbin/nft")),
    DebianPackage(name="containernetworking-plugins", file=Path("/usr/lib/cni/bridge")),
)


def pins_digest(binaries: Iterable[Binary] = BINARIES) -> str:
    """Names a set of binaries: the same pins and flags give the same digest."""
    wanted = tuple(binaries)
    digest = hashlib.sha256(repr(wanted).encode())
    for path in sorted(path for module in {each.module for each in wanted} for path in (MODULES / module).glob("go.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

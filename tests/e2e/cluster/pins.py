"""The programs of a cluster: Go programs, with versions pinned in go/*/go.mod, and Debian packages. Also Helm, Prometheus, the oracle."""

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
    """A Debian package, and a file that exists if the package is installed."""

    name: str
    file: Path


def required_version(go_mod: str, module: str) -> str:
    """Returns the version of a module that a go.mod requires. Raises ValueError if the go.mod does not require the module."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ValueError(f"go.mod does not require {module}")
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
"""For the tests of the chart; not part of the cluster."""
ORACLE = Binary(name="oracle", package=".", module="oracle", flags=("-ldflags=-s -w",))
"""For comparisons with Sprig and container runtimes; not part of the cluster."""
PROMETHEUS, PROMTOOL = (
    Binary(
        name=name,
        package=f"github.com/prometheus/prometheus/cmd/{name}",
        module="prometheus",
        flags=("-ldflags=-s -w", "-tags=remove_all_sd"),
    )
    for name in ("prometheus", "promtool")
)
"""For the metrics of GPUs; not part of the cluster. Without service discovery, which needs the clients of all clouds."""

DEBIAN_PACKAGES = (
    DebianPackage(name="runc", file=Path("/usr/sbin/runc")),
    DebianPackage(name="busybox-static", file=Path("/bin/busybox")),
    DebianPackage(name="iproute2", file=Path("/sbin/ip")),
    DebianPackage(name="nftables", file=Path("/usr/sbin/nft")),
    DebianPackage(name="containernetworking-plugins", file=Path("/usr/lib/cni/bridge")),
)


def pins_digest(binaries: Iterable[Binary] = BINARIES) -> str:
    """Returns a digest of the pins and flags of a set of binaries."""
    selected = tuple(binaries)
    digest = hashlib.sha256(repr(selected).encode())
    for folder in sorted(MODULES / module for module in {each.module for each in selected}):
        for path in sorted([*folder.glob("go.*"), *folder.glob("*.go")]):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

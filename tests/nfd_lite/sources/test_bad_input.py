"""Scans of hosts with unreadable files and invalid content."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.hugepages import hugepage_name
from nfd_lite.kconfig import parse_kconfig
from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.api import ScanCache
from nfd_lite.sources.cpu_security import parse_capacities, select_capacities
from nfd_lite.sources.kernel import parse_builtin, parse_modules, parse_version
from nfd_lite.sources.memory import has_swap
from nfd_lite.sources.system import parse_osrelease
from node_core.domain.desired import merge_labels
from node_core.domain.labels import split_valid
from node_core.errors import HostReadError
from node_core.host.root import HostRoot, NotReadable
from node_core.values import replace
from tests.exhaustive import params
from tests.nfd_lite.conftest import ROOTS, LayOut, NamedHost, parse_root

HOSTS = ("xeon-h100", "icelake-sriov", "epyc-genoa", "grace-hopper")
RUBBISH = bytes(range(256)) * 64
HOSTILE = {
    "empty": b"",
    "rubbish": RUBBISH,
    "no newline": b"\xff\xfe=\x00",
    "huge": b"9" * (1 << 21),
    "many lines": b"CONFIG_A=y\n" * 100_000,
    "negative": b"-1\n",
    "words": b"<not counted>\n",
}


@dataclass(frozen=True, slots=True)
class BrokenRoot(HostRoot):
    """Reads of one path, and of paths below it, fail with an I/O error. asked: whether such a read has occurred."""

    broken: str = ""
    asked: list[str] = field(default_factory=list)

    def _check(self, path: str) -> None:
        if path == self.broken or path.startswith(f"{self.broken}/"):
            self.asked.append(path)
            raise HostReadError(f"cannot read {path}: Input/output error")

    def read(self, host_path: str, *, limit: int = 1 << 20) -> bytes | None:
        self._check(host_path)
        return HostRoot.read(self, host_path, limit=limit)

    def read_regular(self, folder: str, name: str, *, limit: int) -> bytes | NotReadable | None:
        self._check(f"{folder}/{name}")
        return HostRoot.read_regular(self, folder, name, limit=limit)

    def entries(self, host_path: str) -> tuple[str, ...]:
        self._check(host_path)
        return HostRoot.entries(self, host_path)

    def check_exists(self, host_path: str) -> bool:
        self._check(host_path)
        return HostRoot.check_exists(self, host_path)


def labels_of(host: Host, known: dict[str, str] | None = None) -> dict[str, str]:
    return merge_labels(collect(host, SourceSettings()).results, known or {})


def paths_of(name: str) -> list[str]:
    """Returns all files of a host, and all their parent folders."""
    files = [path.rstrip("/") for path in parse_root((ROOTS / f"{name}.root").read_text())]
    folders = {str(parent) for path in files for parent in Path(path).parents} - {"/"}
    return sorted({*files, *folders})


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "after a restart"])
@pytest.mark.parametrize("name", params(tuple(HOSTS), fast=("xeon-h100",)))
def test_an_unreadable_file_or_folder_changes_no_label(name: str, named_host: NamedHost, *, restarted: bool) -> None:
    whole = named_host(name)
    good = labels_of(whole)
    noticed = 0
    for path in paths_of(name):
        root = BrokenRoot(whole.root.base, path)
        cache = ScanCache() if restarted else whole.cache
        assert labels_of(replace(whole, root=root, cache=cache), good) == good, path
        noticed += bool(root.asked)
    assert noticed > 40


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", params(("xeon-h100", "icelake-sriov"), fast=("xeon-h100",)))
def test_no_file_content_breaks_a_scan_or_affects_another_source(
    name: str, content: bytes, named_host: NamedHost
) -> None:
    host = named_host(name)
    good = split_valid(labels_of(host))[0]
    for path in parse_root((ROOTS / f"{name}.root").read_text()):
        file = host.root.path(path)
        if path.endswith("/") or file.is_symlink() or not file.is_file():
            continue
        previous = file.read_bytes()
        file.write_bytes(content)
        found, _ = split_valid(labels_of(host))
        assert len(sources(good) ^ sources(found)) <= 1, path
        changed = {key for key in good.keys() | found.keys() if good.get(key) != found.get(key)}
        assert len(sources(changed)) <= 1, path
        file.write_bytes(previous)
    assert split_valid(labels_of(host))[0] == good


def sources(keys: object) -> set[str]:
    """Returns the sources of collectors. gpu.present belongs to pci."""
    assert isinstance(keys, dict | set)
    words = {key.rpartition("/")[2].partition("-")[0] for key in keys}
    return {"pci" if word == "gpu.present" else "local" if word in {"rack", "row", "raid"} else word for word in words}


@pytest.mark.parametrize("size", [10, 5000], ids=["a number", "more digits than Python takes"])
def test_numbers_of_any_length_are_not_an_error(size: int, lay_out: LayOut) -> None:
    files = {
        "/sys/class/net/eth0/device/sriov_totalvfs": "9" * size,
        "/sys/class/net/eth0/device/sriov_numvfs": "0" * size,
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "9" * size,
        f"/sys/kernel/mm/hugepages/hugepages-{'1' * 100}kB/nr_hugepages": "0",
    }
    host = Host(root=lay_out(files), cpu=lambda _root: CpuInfo(arch="x86_64", method="test"))
    collection = collect(host, SourceSettings())
    labels = merge_labels(collection.results, {})
    assert labels["feature.node.kubernetes.io/network-sriov.capable"] == "true"
    assert "feature.node.kubernetes.io/network-sriov.configured" not in labels
    assert collection.features.attributes["memory.hugepages"]["enabled"] == "true"
    assert collection.errors == {}


def test_without_online_cpus_there_is_no_topology_and_no_error(lay_out: LayOut) -> None:
    root = lay_out({f"/sys/bus/cpu/devices/cpu{number}/online": "0\n" for number in range(4)})
    collection = collect(Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", method="test")), SourceSettings())
    assert collection.features.attributes["cpu.topology"] == {}
    assert collection.errors == {}


PARSERS: dict[str, Callable[[str], object]] = {
    "version": parse_version,
    "modules": parse_modules,
    "builtin": parse_builtin,
    "osrelease": parse_osrelease,
    "capacities": parse_capacities,
    "kconfig": lambda text: parse_kconfig(text.encode(errors="surrogatepass")),
    "swap": has_swap,
    "hugepage": hugepage_name,
}
LINES = st.lists(
    st.text(max_size=30)
    | st.from_regex(r"[A-Z_]{0,8}=[\"']?[a-z0-9.]{0,8}[\"']?", fullmatch=True)
    | st.from_regex(r"\s?[a-z_]{0,5} [0-9]{0,4}", fullmatch=True)
    | st.from_regex(r"hugepages-\d{1,40}kB", fullmatch=True)
).map("\n".join)


@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
def test_no_text_breaks_a_parser(parse: Callable[[str], object]) -> None:
    @given(LINES)
    def check(text: str) -> None:
        assert parse(text) == parse(text)

    check()


@given(st.dictionaries(st.sampled_from(["sev.enabled", "sev.es.enabled", "tdx.enabled", "x"]), st.just("true")), LINES)
def test_capacities_are_numbers_of_what_is_enabled(enabled: dict[str, str], text: str) -> None:
    selected = select_capacities(enabled, parse_capacities(text))
    assert all(value.isdecimal() for value in selected.values())
    assert len(selected) <= len(enabled)

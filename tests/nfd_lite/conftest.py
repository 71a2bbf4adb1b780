"""Small hosts: `tests/roots/<name>.root` contains the files, `tests/roots/<name>.cpu` the CPUID registers or HWCAP values."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from nfd_lite.cpu.cpuid import CpuReader
from nfd_lite.cpu.cpuid_decode import CpuidDump, CpuInfo, decode_x86
from nfd_lite.cpu.cpuinfo import parse_cpuinfo, translate_flags
from nfd_lite.cpu.hwcap import AT_HWCAP, read_hwcap_cpu
from nfd_lite.sources import Host
from node_core.host.root import HostRoot

ROOTS = Path(__file__).parents[1] / "roots"

Files = dict[str, str]
LayOut = Callable[[Files], HostRoot]
NamedHost = Callable[[str], Host]


@pytest.fixture
def lay_out(tmp_path: Path) -> LayOut:
    """Creates files below a new root: path -> content. `path/` is an empty folder, `path.gz.txt` becomes a gzip file."""

    def write(files: Files) -> HostRoot:
        for path, content in files.items():
            _write(tmp_path / path.lstrip("/"), content, folder=path.endswith("/"))
        return HostRoot(tmp_path)

    return write


def _write(path: Path, content: str, *, folder: bool) -> None:
    if folder:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if content.startswith("-> "):
        path.symlink_to(content.removeprefix("-> "))
    elif path.name.endswith(".gz.txt"):
        path.with_suffix("").write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)


@pytest.fixture
def named_host(tmp_path: Path) -> NamedHost:
    return lambda name: load_host(name, tmp_path / name)


def load_host(name: str, base: Path) -> Host:
    """Creates the files of a host below a folder."""
    for path, content in parse_root((ROOTS / f"{name}.root").read_text()).items():
        _write(base / path.lstrip("/"), content, folder=path.endswith("/"))
    return Host(root=HostRoot(base), cpu=parse_cpu((ROOTS / f"{name}.cpu").read_text()), node_name=name)


def parse_root(text: str) -> Files:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(_parse_line(line) for line in lines)


def _parse_line(line: str) -> tuple[str, str]:
    path, _, content = line.partition(" ")
    if content.startswith("-> "):
        return path, content
    return path, content.removeprefix("= ").replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0")


def parse_cpu(text: str) -> CpuReader:
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    words = {row[0]: row[1:] for row in rows}
    if words["arch"] != ["x86_64"]:
        values = [int(value, 16) for value in words["hwcap"]]
        return lambda root: read_hwcap_cpu(root, words["arch"][0], lambda kind: values[kind != AT_HWCAP])
    if words.keys() == {"arch"}:
        return lambda root: translate_flags(parse_cpuinfo(root.text("/proc/cpuinfo") or ""))
    numbers = [[int(word, 16) for word in row] for row in rows if len(row) == 6]
    leaves = {(leaf, sub): (eax, ebx, ecx, edx) for leaf, sub, eax, ebx, ecx, edx in numbers}
    info = decode_x86(CpuidDump(leaves=leaves, xcr0=int(words["xcr0"][0], 16)), method="captured")
    return lambda _root: info


@pytest.fixture
def empty_host(tmp_path: Path) -> Host:
    """A host without files and with an unknown processor."""
    return Host(root=HostRoot(tmp_path), cpu=lambda _root: CpuInfo(arch="riscv64", method="nothing"))

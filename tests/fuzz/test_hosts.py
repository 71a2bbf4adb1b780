"""Complete hosts with damaged files: nfd-lite, the discovery of driver files, the state file, drop-in files."""

import gzip
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.discovery.vfio import read_vfio
from gpu_core.domain.health import Health, Incident, Phase
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.xid import XidClass
from gpu_core.health.state_file import StateFile
from gpu_core.host.driver_files import read_driver_files
from gpu_core.host.pci_config import read_vgpus
from gpu_core.nvml.driver_version import read_driver_versions
from nfd_lite.kconfig import kconfig_paths, read_kconfig
from nfd_lite.rules.custom_files import read_custom_dir
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.domain.desired import merge_labels
from node_core.domain.labels import split_valid
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import CUSTOM, KCONFIG, RULES
from tests.fuzz.profile import fuzzed
from tests.nfd_lite.conftest import load_host
from tests.roots.drivers.layout import lay_out_tree

pytestmark = pytest.mark.fuzz

RELEASE = "6.8.0"
UNHEALTHY = Health(phase=Phase.UNHEALTHY, incidents=(Incident(xid=48, kind=XidClass.RESET, at=110.0),), returns=(5.0,))


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


class Restore:
    """Restores the content of files at the end of the block."""

    def __init__(self, *files: Path) -> None:
        self._before = {file: file.read_bytes() for file in files}

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        for file, content in self._before.items():
            file.write_bytes(content)


@pytest.mark.parametrize("name", ["xeon-h100", "icelake-sriov", "grace-hopper"])
def test_the_labels_of_a_damaged_host_are_valid_in_kubernetes(name: str, tmp_path: Path) -> None:
    intact = load_host(name, tmp_path)
    files = files_below(intact.root.base)
    labels = split_valid(merge_labels(collect(intact, SourceSettings()).results, {}))[0]

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=4, unique=True))
        with Restore(*chosen):
            for file in chosen:
                file.write_bytes(data.draw(mutated(file.read_bytes())))
            host = Host(root=intact.root, cpu=intact.cpu, node_name=name)
            found = merge_labels(collect(host, SourceSettings()).results, labels)
            assert all(isinstance(value, str) for value in split_valid(found)[0].values())
            for read in (read_vgpus, read_vfio):
                with suppress(HostReadError):
                    read(intact.root)

    check()


hostile_names = st.sampled_from(
    [b"libcuda.so.1", b"libcuda.so.550.54.15", b"libx\n.so", b"lib\xff.so.1", b"..x", b"a b", b"l" * 200, b"\x1b[m"]
).map(os.fsdecode)
hostile_targets = st.sampled_from(
    [
        "/etc/shadow",
        "../../../../../../etc",
        "..",
        ".",
        "/",
        "libcuda.so.1",
        "/proc/self/root/etc",
        "x" * 250,
        "/usr/lib",
    ]
)


@pytest.mark.parametrize("name", ["debian", "nixos", "gke-cos", "tegra-l4t", "wsl"])
def test_discovered_files_are_inside_the_driver_root(name: str, tmp_path: Path) -> None:
    root = lay_out_tree(name, tmp_path / "driver")
    host = HostRoot(tmp_path / "host")
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())]
    files = files_below(root)

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        links: list[Path] = []
        chosen = data.draw(st.lists(st.sampled_from(files), max_size=2, unique=True))
        with Restore(*chosen):
            for file in chosen:
                file.write_bytes(data.draw(mutated(file.read_bytes())))
            for _ in range(data.draw(st.integers(0, 4))):
                link = data.draw(st.sampled_from(folders)) / data.draw(hostile_names)
                with suppress(FileExistsError):
                    link.symlink_to(data.draw(hostile_targets))
                    links.append(link)
            try:
                found = read_driver_files(root, host)
                read_driver_versions(host, root)
            finally:
                for link in links:
                    link.unlink()
        for each in (*found.binaries, *found.configs, *found.firmware, *found.sockets):
            assert ".." not in each.path.split("/")

    check()


def test_a_damaged_state_file_is_read_without_error(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    StateFile(path, "boot").write({(GpuUuid("GPU-0"), None): UNHEALTHY, (GpuUuid("GPU-0"), 1): UNHEALTHY})
    seed = path.read_bytes()

    @fuzzed
    @given(mutated(seed))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = StateFile(path, "boot").read(200.0)
        StateFile(path, "boot").write(found)
        assert StateFile(path, "boot").read(200.0).keys() <= found.keys()

    check()


def test_a_drop_in_file_contains_rules_or_has_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "custom.d"
    folder.mkdir()

    @fuzzed
    @given(mutated(json.dumps(CUSTOM).encode(), json.dumps(RULES).encode()), mutated(b"a: [b]"))
    def check(one: bytes, two: bytes) -> None:
        (folder / "a.yaml").write_bytes(one)
        (folder / "b.yaml").write_bytes(two)
        found = read_custom_dir(HostRoot(tmp_path), folder="/custom.d")
        assert all(file.sets is not None or file.problem for file in found.files.values())

    check()


def test_a_compressed_kernel_config_is_parsed_or_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / kconfig_paths(RELEASE)[0].lstrip("/")
    file.parent.mkdir(parents=True)

    @fuzzed
    @given(mutated(gzip.compress(KCONFIG.encode(), mtime=0), gzip.compress(b"CONFIG_A=y\n" * 200_000, mtime=0)))
    def check(content: bytes) -> None:
        file.write_bytes(content)
        with suppress(HostReadError):
            read_kconfig(HostRoot(tmp_path), RELEASE)

    check()

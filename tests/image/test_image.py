"""The image is small and complete, and each agent runs without root. `make image test-image`; see docs/how-to/build-image.md."""

import json
import os
import platform
import re
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from gpu_core.host.elf import elf_machine
from node_core.version import VERSION
from tests.e2e.cluster.archive import ARCHITECTURES
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.image import GPUNODE, ROOT, build_gpunode
from tests.image.container import Container
from tests.packages import PACKAGES

pytestmark = pytest.mark.image

LIMIT = 180 << 20
"""The maximum size of all files in bytes. A node downloads less than a third of this size."""


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]


def native(root: Path) -> dict[str, str]:
    """Returns the architecture of each program and library by path."""
    machines = {f"/{path.relative_to(root)}": elf_machine(path) for path in files(root)}
    return {path: machine for path, machine in machines.items() if machine}


@pytest.fixture
def own_machine(config: dict[str, Any]) -> None:
    if config["architecture"] != ARCHITECTURES[platform.machine()]:
        pytest.skip(f"an image for {config['architecture']} does not run here")


@pytest.mark.usefixtures("own_machine")
@pytest.mark.parametrize(
    "program",
    [
        "gpunode",
        "nfd-lite",
        "nfd-lite-topology",
        "gfd",
        "gpu-device-plugin",
        "gpu-exporter",
        "mig-manager",
        "gpu-driver-manager",
    ],
)
def test_each_program_runs_without_root_on_a_read_only_root(program: str, container: Container) -> None:
    assert container.run(program, "--version").stdout == f"{program}, version {VERSION}\n"
    assert container.run(program, "--help").returncode == 0


@pytest.mark.usefixtures("own_machine")
def test_nfd_lite_labels_this_machine_through_its_host_root(container: Container) -> None:
    done = container.run(
        "nfd-lite", "--oneshot", "--publish=stdout", "--node-name=n", "--host-root=/host", mounts={"/host": Path("/")}
    )
    assert done.returncode == 0, done.stderr
    assert f"feature.node.kubernetes.io/kernel-version.full={platform.release()}\n" in done.stdout


@pytest.mark.usefixtures("own_machine")
def test_gfd_labels_simulated_gpus(container: Container) -> None:
    done = container.run("gfd", "--oneshot", "--publish=stdout", "--node-name=n", "--simulate=h100x8")
    assert done.returncode == 0, done.stderr
    assert "nvidia.com/gpu.count=8\n" in done.stdout


@pytest.mark.usefixtures("own_machine")
def test_no_library_is_missing(root: Path) -> None:
    loader = next(path for path in native(root) if re.search(r"/ld-linux-[a-z0-9-]+\.so\.\d$", path))
    loaded = "".join(run("chroot", str(root), loader, "--list", path, check=False) for path in native(root))
    assert "libstdc++.so.6 => " in loaded
    assert [line for line in loaded.splitlines() if "not found" in line or "cannot open" in line] == []


def test_the_image_contains_the_code_and_its_bytecode(root: Path) -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            inside = root / "opt/gpunode" / path.relative_to(ROOT)
            assert inside.read_bytes() == path.read_bytes()
            assert (inside.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").is_file()


def test_all_native_code_has_the_architecture_of_the_image(root: Path, config: dict[str, Any]) -> None:
    assert {ARCHITECTURES[machine] for machine in native(root).values()} == {config["architecture"]}


def test_the_image_runs_without_root_and_contains_nothing_to_escalate_privileges(
    root: Path, config: dict[str, Any]
) -> None:
    assert config["config"]["User"] == "65532:65532"
    facts = {path: path.lstat() for path in root.rglob("*")}
    assert {fact.st_uid for fact in facts.values()} == {0}
    assert [path for path, fact in facts.items() if fact.st_mode & stat.S_ISUID and path.is_file()] == []
    writable = [path for path, fact in facts.items() if fact.st_mode & stat.S_IWOTH and not path.is_symlink()]
    assert {str(path.relative_to(root)) for path in writable} <= {"tmp", "var/tmp", "var/lock", "run/lock"}
    assert {path.name for path in (root / "usr/bin").iterdir()} == {"python3", "python3.11"}


def test_the_image_is_small_and_all_files_have_one_date(root: Path) -> None:
    sizes = [path.stat() for path in files(root)]
    assert sum(size.st_size for size in sizes) < LIMIT
    assert len({int(size.st_mtime) for size in sizes}) == 1


def test_scanners_find_every_package(root: Path) -> None:
    known = {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "libssl3", "python3.11-minimal"} <= known
    licensed = {path.parent.name for path in (root / "usr/share/doc").glob("*/copyright") if path.is_file()}
    assert known <= licensed
    assert (root / "opt/gpunode/h2").is_dir()
    assert any(path.name.startswith("h2-") for path in (root / "opt/gpunode").glob("*.dist-info"))


def test_the_image_can_be_exported_for_the_test_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUNODE_IMAGE", os.environ["IMAGE"])
    archive = build_gpunode(tmp_path)
    with tarfile.open(archive) as tar:
        content = tar.extractfile("manifest.json")
        assert content is not None
        (image,) = json.load(content)
    assert GPUNODE in image["RepoTags"]
    assert build_gpunode(tmp_path) == archive


def test_the_image_contains_no_packages_for_terminals(root: Path) -> None:
    assert not (root / "opt/gpunode/rich").exists()

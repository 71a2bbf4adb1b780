"""The cache of binaries, with a fake Go that records its calls."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.cluster.build import build, built, cache_folder
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.pins import BINARIES, HELM

GO = """#!/bin/sh
echo "$PWD CGO_ENABLED=$CGO_ENABLED $*" >> "$CALLS"
while [ "$1" != -o ]; do shift; done
echo program > "$2"
[ -z "$GO_FAILS" ] || { echo "no such module" >&2; exit 1; }
"""
NAMES = [binary.name for binary in BINARIES]


def quiet(line: str) -> None:
    pass


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_each_program_is_built_once(tmp_path: Path, calls: Path) -> None:
    lines: list[str] = []
    assert not built(tmp_path / "cache")
    folder = build(tmp_path / "cache", lines.append)
    assert build(tmp_path / "cache", lines.append) == folder
    assert [line.split()[1] for line in lines] == NAMES
    assert len(calls.read_text().splitlines()) == len(NAMES)
    assert built(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == sorted([".lock", *NAMES])


def test_each_program_is_built_in_its_module_without_cgo(tmp_path: Path, calls: Path) -> None:
    build(tmp_path / "cache", quiet)
    for binary, call in zip(BINARIES, calls.read_text().splitlines(), strict=True):
        folder, without_c, *arguments = call.split()
        assert folder.endswith(f"/go/{binary.module}")
        assert without_c == "CGO_ENABLED=0"
        assert arguments[-1] == binary.package


def test_only_missing_programs_are_built(tmp_path: Path, calls: Path) -> None:
    folder = build(tmp_path / "cache", quiet)
    calls.unlink()
    (folder / "kubelet").unlink()
    build(tmp_path / "cache", quiet)
    assert [call.split()[-1] for call in calls.read_text().splitlines()] == ["k8s.io/kubernetes/cmd/kubelet"]


def test_helm_has_its_own_folder(tmp_path: Path, calls: Path) -> None:
    folder = build(tmp_path / "cache", quiet, [HELM])
    assert built(tmp_path / "cache", [HELM])
    assert not built(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "helm"]
    assert [call.split()[-1] for call in calls.read_text().splitlines()] == [HELM.package]


@pytest.mark.usefixtures("calls")
def test_a_failed_build_reports_the_reason_and_leaves_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO_FAILS", "1")
    with pytest.raises(ClusterError, match=r"go build .*: no such module"):
        build(tmp_path / "cache", quiet)
    assert not built(tmp_path / "cache")


def test_concurrent_runs_build_each_program_once(tmp_path: Path, calls: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        folders = set(threads.map(lambda _: build(tmp_path / "cache", quiet), range(4)))
    assert len(folders) == 1
    assert len(calls.read_text().splitlines()) == len(NAMES)


def test_a_cache_that_cannot_be_created_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClusterError, match="GPUNODE_CACHE"):
        build(tmp_path / "file", quiet)


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        pytest.param("/elsewhere", "/elsewhere", id="GPUNODE_CACHE"),
        pytest.param("", "/home/of/mine/.cache/gpunode/cluster", id="the default"),
    ],
)
def test_the_environment_selects_the_cache_folder(given: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of/mine")
    monkeypatch.setenv("GPUNODE_CACHE", given)
    assert cache_folder() == Path(folder)

"""`gpunode cdi` as people use it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.roots.drivers.layout import lay_out_tree

SPEC = {
    "cdiVersion": "0.5.0",
    "kind": "vendor.com/gpu",
    "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu0"}]}}],
}


def gpunode(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gpunode", "cdi", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.json").write_text(json.dumps(SPEC))
    return tmp_path


def test_devices_are_listed_by_the_names_that_a_runtime_takes(folder: Path) -> None:
    done = gpunode("list", str(folder))
    assert (done.returncode, done.stdout) == (0, "vendor.com/gpu=0\n")


def test_a_wrong_file_is_said_and_the_others_are_listed(folder: Path) -> None:
    (folder / "bad.yaml").write_text("cdiVersion: 0.5.0\nkind: vendor\ndevices: []\n")
    done = gpunode("list", str(folder))
    assert (done.returncode, done.stdout) == (1, "vendor.com/gpu=0\n")
    assert f"{folder}/bad.yaml: vendor is no kind" in done.stderr
    assert gpunode("list", str(folder / "nothing")).returncode == 0


def test_files_are_checked_as_runtimes_check_them(folder: Path) -> None:
    assert gpunode("validate", str(folder / "good.json")).returncode == 0
    (folder / "good.json").write_text("[")
    done = gpunode("validate", str(folder / "good.json"), str(folder / "gone.json"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2


def test_a_node_without_a_driver_says_where_it_was_looked_for(tmp_path: Path) -> None:
    driver = tmp_path / "driver"
    done = gpunode("generate", "--simulate", "t4x1", "--driver-root-ctr-path", str(driver))
    assert (done.returncode, done.stdout) == (0, "")
    assert str(driver) in done.stderr


def test_what_is_generated_goes_where_it_is_told_and_is_sound(tmp_path: Path) -> None:
    driver, out = lay_out_tree("debian", tmp_path / "driver"), tmp_path / "out"
    done = gpunode(
        "generate", "--simulate", "t4x1", "--driver-root-ctr-path", str(driver), "--gds-enabled", "--cdi-dir", str(out)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    for path in out.glob("*.json"):
        assert gpunode("validate", str(path)).returncode == 0
    assert gpunode("generate", "--device-list-strategy", "nonsense").returncode == 2

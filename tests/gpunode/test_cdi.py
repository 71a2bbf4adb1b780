"""`gpunode cdi`."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from device_plugin.cdi_sync import CdiSpecSync
from gpunode import cdi_generate
from tests.gpunode.verbs import run_verb
from tests.roots.drivers.layout import lay_out_tree, read_composed_node

SPEC: dict[str, Any] = {
    "cdiVersion": "0.5.0",
    "kind": "vendor.com/gpu",
    "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu0"}]}}],
}


def gpunode(*arguments: str) -> Result:
    return run_verb("cdi", *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.json").write_text(json.dumps(SPEC))
    return tmp_path


def test_list_prints_the_full_names_of_the_devices(folder: Path) -> None:
    done = gpunode("list", str(folder))
    assert (done.exit_code, done.stdout) == (0, "vendor.com/gpu=0\n")


def test_list_reports_a_file_that_is_not_valid_and_lists_the_others(folder: Path) -> None:
    (folder / "bad.yaml").write_text("cdiVersion: 0.5.0\nkind: vendor\ndevices: []\n")
    done = gpunode("list", str(folder))
    assert (done.exit_code, done.stdout) == (1, "vendor.com/gpu=0\n")
    assert f"{folder}/bad.yaml: kind: vendor is not of the form vendor/class" in done.stderr


def test_list_prints_the_valid_devices_of_a_file_that_is_not_valid(folder: Path) -> None:
    devices: list[object] = [*SPEC["devices"], {"name": "1", "containerEdits": {"deviceNodes": [{"path": 5}]}}, None]
    (folder / "bad.json").write_text(json.dumps({**SPEC, "kind": "vendor.com/nic", "devices": devices}))
    done = gpunode("list", str(folder))
    assert (done.exit_code, done.stdout) == (1, "vendor.com/nic=0\nvendor.com/gpu=0\n")
    assert f"{folder}/bad.json: devices[1]: containerEdits: deviceNodes[0]: path: expected a string" in done.stderr
    assert f"{folder}/bad.json: container runtimes use no device of this file until the file is valid" in done.stderr


def test_list_reports_a_folder_that_does_not_exist(folder: Path) -> None:
    for name, why in (("nothing", "No such file or directory"), ("good.json", "Not a directory")):
        done = gpunode("list", str(folder), str(folder / name))
        assert (done.exit_code, done.stdout) == (1, "vendor.com/gpu=0\n")
        assert done.stderr == f"{folder / name}: {why}. Name a folder with CDI specifications.\n"


def test_a_file_with_a_name_that_runtimes_ignore_is_reported(folder: Path) -> None:
    (folder / "good.json").rename(folder / "gpu.yml")
    (folder / "README").touch()
    ignored = "container runtimes ignore this file, because its name does not end in .json or .yaml\n"
    done = gpunode("list", str(folder))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"{folder}/gpu.yml: {ignored}")
    done = gpunode("validate", str(folder / "gpu.yml"))
    assert (done.exit_code, done.stderr) == (0, f"{folder}/gpu.yml: advice: {ignored}")


def test_validate_prints_advice_about_a_valid_file(folder: Path) -> None:
    devices = [{"name": "0", "containerEdits": {"hooks": [{"hookName": "prestart", "path": "nvidia-cdi-hook"}]}}]
    (folder / "good.json").write_text(json.dumps({**SPEC, "devices": devices}))
    done = gpunode("validate", str(folder / "good.json"))
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{folder}/good.json: advice: nvidia-cdi-hook should be an absolute path")


@pytest.mark.parametrize("rest", ["---\nkind: other", "---\ngarbage: [", '{"a": 1}'], ids=["valid", "garbage", "JSON"])
def test_validate_reads_only_the_first_document_as_container_runtimes_do(folder: Path, rest: str) -> None:
    (folder / "two.yaml").write_text(f"{json.dumps(SPEC)}\n{rest}\n")
    done = gpunode("validate", str(folder / "two.yaml"))
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{folder}/two.yaml: advice: container runtimes read only the first document")


def test_validate_refuses_a_file_whose_first_document_is_empty(folder: Path) -> None:
    for text in ("", f"---\n---\n{json.dumps(SPEC)}"):
        (folder / "empty.yaml").write_text(text)
        done = gpunode("validate", str(folder / "empty.yaml"))
        assert (done.exit_code, "empty.yaml: expected a mapping, found nothing" in done.stderr) == (1, True)


def test_validate_reports_one_problem_for_each_file_that_is_not_valid(folder: Path) -> None:
    assert gpunode("validate", str(folder / "good.json")).exit_code == 0
    (folder / "good.json").write_text("[")
    done = gpunode("validate", str(folder / "good.json"), str(folder / "gone.json"))
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 2


def test_generate_names_the_searched_folder_if_the_driver_is_missing(tmp_path: Path) -> None:
    driver = tmp_path / "driver"
    done = gpunode("generate", "--simulate", "t4x1", "--driver-root-ctr-path", str(driver))
    assert (done.exit_code, done.stdout) == (1, "")
    assert str(driver) in done.stderr
    assert done.stderr.endswith("gpunode cdi generate: No CDI specification was generated.\n")


def test_generate_on_a_node_without_gpus_reports_the_reason_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "host/sys").mkdir(parents=True)
    (tmp_path / "host/sys/a").touch()
    done = gpunode("generate", "--host-root", str(tmp_path / "host"), "--cdi-dir", str(tmp_path / "out"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "gpunode cdi generate: No CDI specification was generated: "
        "the node has no NVIDIA driver and no NVIDIA GPU on the PCI bus.\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a driver and files that stand for device nodes."""
    monkeypatch.setattr(cdi_generate, "CdiSpecSync", partial(CdiSpecSync, read=read_composed_node))
    return lay_out_tree("devices", lay_out_tree("debian", tmp_path / "host"))


def generate(host: Path, *arguments: str) -> int:
    return cdi_generate.main(["--simulate", "t4x1", "--driver-root-ctr-path", str(host), "--lock-dir=", *arguments])


def test_generate_prints_specifications_without_a_folder(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(host) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "k8s.device-plugin.nvidia.com/gpu"


def test_generate_writes_valid_files_to_a_folder_and_creates_the_folder(
    host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert generate(host, "--gds-enabled", "--cdi-dir", str(out)) == 0
    assert capsys.readouterr().out == ""
    assert len(list(out.glob("*.json"))) == 2
    for path in out.glob("*.json"):
        assert gpunode("validate", str(path)).exit_code == 0


def test_generate_writes_to_the_default_folder_only_if_the_flag_names_it(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cdi_generate, "CDI_FOLDER", tmp_path / "default")
    assert generate(host, "--cdi-dir", str(tmp_path / "default")) == 0
    assert capsys.readouterr().out == ""
    assert list((tmp_path / "default").glob("*.json"))


def test_generate_reports_a_folder_that_it_cannot_create(
    host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert generate(host, "--cdi-dir", str(tmp_path / "file/out")) == 1
    assert f"gpunode cdi generate: Cannot update {tmp_path}/file/out: Not a directory." in capsys.readouterr().err


def test_generate_that_makes_nothing_leaves_the_folder_as_it_is(host: Path, tmp_path: Path) -> None:
    assert generate(host, "--cdi-dir", str(tmp_path / "out")) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.json")}
    assert generate(tmp_path / "no-driver", "--cdi-dir", str(tmp_path / "out")) == 1
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.json")} == before != {}


def test_generate_refuses_flags_that_are_not_valid() -> None:
    assert gpunode("generate", "--device-list-strategy", "nonsense").exit_code == 2

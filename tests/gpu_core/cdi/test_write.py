"""The folder of specifications after a write, for each previous state."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gpu_core.cdi.kinds import FILE_NAMES, kind
from gpu_core.cdi.plan import CdiPlan
from gpu_core.cdi.write import SpecWriter, has_devices, render_json
from gpu_core.domain.cdi import CdiDevice, Edits, Spec
from tests.nvml.build import IN_CI
from tests.unprivileged import unprivileged

GPU_FILE = "k8s.device-plugin.nvidia.com-gpu.json"

FILL = """
import resource, sys
from pathlib import Path
from tests.gpu_core.cdi.test_write import make_plan
from gpu_core.cdi.write import SpecWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
print(*SpecWriter(Path(sys.argv[1])).write(make_plan("GPU-2")))
"""


def make_plan(*names: str, cls: str = "gpu") -> CdiPlan:
    devices = [CdiDevice(name=name, edits=Edits(env=(f"DEVICE={name * 50}",))) for name in names]
    spec = Spec(kind=kind(cls), devices=tuple(devices))
    return CdiPlan(specs={spec.file_name: spec})


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_specification_is_written_world_readable_into_a_created_folder(tmp_path: Path) -> None:
    folder, plan = tmp_path / "run/cdi", make_plan("GPU-1")
    before = os.umask(0o077)
    try:
        assert SpecWriter(folder).write(plan) == ()
    finally:
        os.umask(before)
    text = (folder / GPU_FILE).read_text()
    assert json.loads(text)["devices"][0]["name"] == "GPU-1"
    assert "\n" not in text
    assert text == render_json(plan.specs[GPU_FILE])
    assert (folder / GPU_FILE).stat().st_mode & 0o777 == 0o644
    assert folder.stat().st_mode & 0o777 == 0o755
    assert list(content(folder)) == [GPU_FILE]


def test_an_equal_file_is_not_written(tmp_path: Path) -> None:
    writer = SpecWriter(tmp_path)
    writer.write(make_plan("GPU-1"))
    before = marks(tmp_path)
    assert writer.write(make_plan("GPU-1")) == ()
    assert marks(tmp_path) == before
    assert SpecWriter(tmp_path).write(make_plan("GPU-1")) == ()
    assert marks(tmp_path) == before
    writer.write(make_plan("GPU-2"))
    assert marks(tmp_path) != before


def test_a_changed_or_removed_file_is_written_again(tmp_path: Path) -> None:
    writer = SpecWriter(tmp_path)
    writer.write(make_plan("GPU-1"))
    good = content(tmp_path)
    (tmp_path / GPU_FILE).write_text("{}")
    writer.write(make_plan("GPU-1"))
    assert content(tmp_path) == good
    (tmp_path / GPU_FILE).unlink()
    writer.write(make_plan("GPU-1"))
    assert content(tmp_path) == good


def test_own_files_without_a_specification_are_removed_and_other_files_remain(tmp_path: Path) -> None:
    others = ("nvidia.yaml", "k8s.gpu.nvidia.com-claim.json", "k8s.device-plugin.nvidia.com-other.json", "notes.tmp")
    for name in (*FILE_NAMES, *others):
        (tmp_path / name).write_text(name)
    assert SpecWriter(tmp_path).write(CdiPlan()) == ()
    assert content(tmp_path) == {name: name for name in others}


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / f".{GPU_FILE}.x7").write_text('{"cdiVersion": "0.')
    SpecWriter(tmp_path).write(make_plan("GPU-1"))
    assert list(content(tmp_path)) == [GPU_FILE]
    (tmp_path / f".{GPU_FILE}.x7").write_text('{"cdiVersion": "0.')
    SpecWriter(tmp_path).write(CdiPlan())
    assert content(tmp_path) == {}


def test_without_specifications_no_folder_is_created(tmp_path: Path) -> None:
    assert SpecWriter(tmp_path / "cdi").write(CdiPlan()) == ()
    assert not (tmp_path / "cdi").exists()


def test_a_symlink_in_the_folder_is_replaced_and_its_target_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    for name in (GPU_FILE, f".{GPU_FILE}.x7"):
        (tmp_path / name).symlink_to("target")
    assert SpecWriter(tmp_path).write(make_plan("GPU-1")) == ()
    assert (tmp_path / "target").read_text() == "precious"
    assert not (tmp_path / GPU_FILE).is_symlink()


def test_a_file_that_cannot_be_written_does_not_prevent_other_writes(tmp_path: Path) -> None:
    (tmp_path / GPU_FILE).mkdir()
    gpu, mofed = make_plan("GPU-1"), make_plan("all", cls="mofed")
    (problem,) = SpecWriter(tmp_path).write(CdiPlan(specs={**gpu.specs, **mofed.specs}))
    assert problem == f"Cannot update {tmp_path / GPU_FILE}: Is a directory."
    assert (tmp_path / "k8s.device-plugin.nvidia.com-mofed.json").is_file()


def test_a_folder_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "cdi").write_text("")
    assert SpecWriter(tmp_path / "cdi").write(make_plan("GPU-1")) == (
        f"Cannot update {tmp_path / 'cdi'}: File exists.",
    )
    (problem,) = SpecWriter(tmp_path / "cdi/deeper").write(make_plan("GPU-1"))
    assert problem.endswith("Not a directory.")


def test_on_a_full_disk_the_old_specification_remains_and_the_error_is_reported(tmp_path: Path) -> None:
    SpecWriter(tmp_path).write(make_plan("GPU-1"))
    before = content(tmp_path)
    done = subprocess.run([sys.executable, "-c", FILL, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == f"Cannot update {tmp_path / GPU_FILE}: File too large.\n"
    assert content(tmp_path) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one page."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode and not IN_CI:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_file_system_is_reported_and_written_to_when_space_is_available(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(4096))
    (problem,) = SpecWriter(small_disk).write(make_plan("GPU-1"))
    assert problem == f"Cannot update {small_disk / GPU_FILE}: No space left on device; free disk space there."
    assert list(content(small_disk)) == ["filler"]
    (small_disk / "filler").unlink()
    assert SpecWriter(small_disk).write(make_plan("GPU-1")) == ()


def test_a_read_only_file_system_is_reported_only_if_a_write_is_necessary(small_disk: Path) -> None:
    writer = SpecWriter(small_disk)
    writer.write(make_plan("GPU-1"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert writer.write(make_plan("GPU-1")) == ()
    (problem,) = writer.write(make_plan("GPU-2"))
    assert "Read-only file system; mount the folder with write access." in problem


def test_a_folder_without_write_access_is_reported() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with unprivileged():
            problems = SpecWriter(folder).write(make_plan("GPU-1"))
        assert problems == (
            f"Cannot update {folder / GPU_FILE}: Permission denied; give this agent write access to the folder.",
        )
        folder.chmod(0o755)


def test_nothing_is_written_while_another_process_writes(tmp_path: Path) -> None:
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    (problem,) = SpecWriter(tmp_path).write(make_plan("GPU-1"))
    assert problem.endswith("another process writes CDI specifications there; stop one of the two.")
    assert content(tmp_path) == {}
    os.close(other)
    assert SpecWriter(tmp_path).write(make_plan("GPU-1")) == ()


def test_with_two_writers_a_reader_always_reads_a_complete_specification(tmp_path: Path) -> None:
    plans = [make_plan(f"GPU-{number}", *(f"MIG-{each}" for each in range(number * 20))) for number in range(1, 3)]
    whole = {render_json(plan.specs[GPU_FILE]) for plan in plans}
    SpecWriter(tmp_path).write(plans[0])
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(lambda plan: [SpecWriter(tmp_path).write(plan) for _ in range(50)], plan) for plan in plans]
        while not all(each.done() for each in done):
            assert (tmp_path / GPU_FILE).read_text() in whole
    found = {problem for each in done for problems in each.result() for problem in problems}
    assert all("stop one of the two" in problem for problem in found)
    assert list(content(tmp_path)) == [GPU_FILE]


def test_a_file_with_other_text_or_more_devices_has_the_devices_of_the_plan() -> None:
    spec = make_plan("GPU-1", "GPU-2").specs[GPU_FILE]
    more = make_plan("GPU-0", "GPU-2", "GPU-1").specs[GPU_FILE]
    for text in (render_json(spec), json.dumps(json.loads(render_json(spec)), indent=1) + "\n", render_json(more)):
        assert has_devices(text, spec)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda spec: spec["devices"].pop(), id="a device is missing"),
        pytest.param(lambda spec: spec["devices"].append(spec["devices"][0]), id="a device occurs twice"),
        pytest.param(
            lambda spec: spec["devices"][0]["containerEdits"].update(env=["A=B"]), id="other edits of a device"
        ),
        pytest.param(lambda spec: spec.update(containerEdits={"env": ["A=B"]}), id="more edits of all devices"),
        pytest.param(lambda spec: spec.update(cdiVersion="1.1.0"), id="another version"),
        pytest.param(lambda spec: spec.update(kind="vendor.com/gpu"), id="another kind"),
        pytest.param(lambda spec: spec["devices"].append({"name": "new"}), id="an invalid device"),
        pytest.param(lambda spec: spec.clear(), id="an empty object"),
    ],
)
def test_a_file_that_would_start_a_container_in_another_way_does_not_have_the_devices(
    change: Callable[[dict[str, Any]], object],
) -> None:
    spec = make_plan("GPU-1", "GPU-2").specs[GPU_FILE]
    content = json.loads(render_json(spec))
    change(content)
    assert not has_devices(json.dumps(content), spec)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"kind":', "[" * 100_000])
def test_a_file_that_is_no_specification_has_no_devices(text: str) -> None:
    assert not has_devices(text, make_plan("GPU-1").specs[GPU_FILE])


def test_a_missing_file_provides_nothing(tmp_path: Path) -> None:
    assert not SpecWriter(tmp_path / "missing").provides(make_plan("GPU-1").specs[GPU_FILE])
    (tmp_path / GPU_FILE).write_bytes(b"\xff")
    assert not SpecWriter(tmp_path).provides(make_plan("GPU-1").specs[GPU_FILE])

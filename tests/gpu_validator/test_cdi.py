"""The check of CDI specifications."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_core.domain.inventory import Platform
from gpu_core.host.device_nodes import HostNode
from gpu_validator.cdi import (
    SpecFile,
    check_cdi,
    find_broken_paths,
    list_container_paths,
    read_specs,
    select_devices,
    select_names,
)
from gpu_validator.check import Check, Verdict
from tests.gpu_validator.nodes import KIND, character, gpu, inventory, mig, spec

FOUND = inventory()
IDS = frozenset(each.uuid for each in FOUND.gpus)


def file(content: dict[str, Any], path: str = "/var/run/cdi/a.json") -> SpecFile:
    return SpecFile(path=Path(path), spec=content)


def check(*files: SpecFile, ids: frozenset[str] = IDS, why_not: str | None = None, missing: str = "") -> Check:
    return check_cdi(files, FOUND, ids, lambda path: path != missing, why_not_needed=why_not)


def test_devices_that_all_resolve_pass() -> None:
    found = check(file(spec(*IDS)))
    assert (found.verdict, found.sentence) == (Verdict.PASSED, f"2 devices of {KIND} resolve")


def test_an_id_without_a_device_is_named() -> None:
    first, second = sorted(IDS)
    assert check(file(spec(first))).sentence == f"{KIND}={second} is in no CDI specification"


def test_a_path_that_is_missing_is_named_once() -> None:
    mounts = [{"hostPath": "/usr/lib/libcuda.so.1", "containerPath": "/usr/lib/libcuda.so.1"}]
    found = check(file(spec(*IDS, mounts=mounts)), missing="/usr/lib/libcuda.so.1")
    assert found.sentence == "/usr/lib/libcuda.so.1 is missing"
    assert found.remedy


def test_devices_that_no_pod_can_get_are_not_checked() -> None:
    first = min(IDS)
    assert check(file(spec(first, "other")), ids=frozenset([first]), missing="/dev/nvidia1").verdict is Verdict.PASSED


def test_before_the_registration_all_devices_are_checked() -> None:
    assert check(file(spec("x", "y")), ids=frozenset(), missing="/dev/nvidia1").verdict is Verdict.FAILED


def test_without_a_specification_the_check_fails_only_if_pods_need_one() -> None:
    assert check(why_not="pods get their GPUs by envvar").verdict is Verdict.NOT_APPLICABLE
    broken = SpecFile(path=Path("/var/run/cdi/a.json"), problem="kind is missing")
    assert check(broken).sentence == f"there is no CDI specification of {KIND}. /var/run/cdi/a.json: kind is missing"


def test_a_device_of_two_files_in_one_folder_has_no_meaning() -> None:
    assert "both define" in check(file(spec(*IDS)), file(spec(*IDS), "/var/run/cdi/b.json")).sentence
    assert check(file(spec(*IDS), "/etc/cdi/a.json"), file(spec(*IDS))).verdict is Verdict.PASSED


def test_the_kind_of_the_device_plugin_is_preferred() -> None:
    found = select_devices([file(spec("0", kind="nvidia.com/gpu")), file(spec("1"), "/etc/cdi/b.json")])
    assert found is not None
    assert (found.kind, tuple(found.edits)) == (KIND, ("1",))
    assert select_devices([file(spec("0", kind="example.com/gpu"))]) is None


def test_a_device_is_named_by_its_uuid_or_its_index_and_shares_are_one_device() -> None:
    found = inventory(gpu(0), gpu(1, mig(0)))
    first, second = found.gpus
    slot = second.mig_devices[0]
    ids = {f"{first.uuid}::0", f"{first.uuid}::7", slot.uuid}
    assert select_names(found, ids, {"0", f"1:{slot.slot}"}) == {first.uuid: "0", slot.uuid: f"1:{slot.slot}"}
    assert select_names(found, ids, {first.uuid}) == {first.uuid: first.uuid, slot.uuid: None}


def test_under_wsl_all_gpus_have_one_device() -> None:
    found = inventory(gpu(0), platform=Platform.WSL)
    assert select_names(found, {found.gpus[0].uuid}, {"all"}) == {found.gpus[0].uuid: "all"}


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (character(195, 0), []),
        (character(196, 0), ["/dev/nvidia0 is 196:0, and the CDI specification states 195:0"]),
        (False, ["/dev/nvidia0 is missing"]),
        (None, []),
    ],
    ids=["equal", "another number", "missing", "not visible"],
)
def test_the_numbers_of_a_node_are_those_of_the_host(found: HostNode | bool | None, problems: list[str]) -> None:
    node = {"path": "/dev/nvidia0", "major": 195, "minor": 0}
    assert list(find_broken_paths([{"deviceNodes": [node]}], lambda _: found)) == problems


def test_a_hook_that_is_missing_is_named() -> None:
    hook = {"hookName": "createContainer", "path": "/usr/bin/nvidia-ctk"}
    assert list(find_broken_paths([{"hooks": [hook]}], lambda _: False)) == ["the hook /usr/bin/nvidia-ctk is missing"]


def test_a_container_has_the_nodes_and_the_mounts_of_a_device() -> None:
    found = select_devices([file(spec("0", mounts=[{"hostPath": "/a", "containerPath": "/b"}]))])
    assert found is not None
    assert list_container_paths(found, "0") == ("/dev/nvidia0", "/b")


def test_files_are_read_and_broken_ones_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(spec("0")))
    (tmp_path / "b.yaml").write_text("[")
    (tmp_path / "c.json").write_text("{}")
    (tmp_path / "d.txt").write_text("")
    (tmp_path / "e.json").mkdir()
    files = read_specs((tmp_path, tmp_path / "missing"))
    assert [each.path.name for each in files] == ["a.json", "b.yaml", "c.json", "e.json"]
    assert [each.problem is None for each in files] == [True, False, False, False]

"""The CDI specifications of claims: they are valid, and a damaged file or a foreign one is not read as a claim."""

import json
from pathlib import Path

import pytest

from dra_driver.claims.specs import ClaimSpecs, cdi_name, plan_spec
from gpu_core.domain.cdi import DeviceNodeEdit, Edits
from gpu_core.domain.cdi_schema import problems_of
from node_core.errors import ClaimError

UID = "0b5a1f0e-6f0e-4d43-9c38-6f5f6f0a7a11"
NODES = Edits(device_nodes=(DeviceNodeEdit(path="/dev/nvidia0", host_path="/dev/nvidia0", major=195, minor=0),))
COMMON = Edits(env=("NVIDIA_VISIBLE_DEVICES=void",))


@pytest.fixture
def specs(tmp_path: Path) -> ClaimSpecs:
    return ClaimSpecs(tmp_path)


def path(folder: Path, uid: str = UID) -> Path:
    return folder / f"k8s.gpu.nvidia.com-claim_{uid}.json"


@pytest.mark.parametrize("edits", [NODES, Edits(env=("A=b",))])
def test_the_specification_of_a_claim_is_valid(specs: ClaimSpecs, tmp_path: Path, edits: Edits) -> None:
    specs.write(UID, plan_spec(UID, {"gpu-0": edits, "gpu-1-mig-1g10gb-19-0": edits}, COMMON))
    written = json.loads(path(tmp_path).read_text())
    assert problems_of(written) == []
    assert [f"{written['kind']}={each['name']}" for each in written["devices"]] == [
        cdi_name(UID, "gpu-0"),
        cdi_name(UID, "gpu-1-mig-1g10gb-19-0"),
    ]
    assert (specs.uids(), specs.devices(UID)) == ((UID,), ("gpu-0", "gpu-1-mig-1g10gb-19-0"))


@pytest.mark.parametrize("name", ["gpu 0", "gpu-0-", ""])
def test_a_device_without_a_valid_name_is_refused(name: str) -> None:
    with pytest.raises(ClaimError, match="cannot be described"):
        plan_spec(UID, {name: NODES}, COMMON)


def test_a_device_without_edits_is_refused() -> None:
    with pytest.raises(ClaimError, match="gpu-0 cannot be described"):
        plan_spec(UID, {"gpu-0": Edits()}, COMMON)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"7", b"[]", b'{"devices":7}', b'{"devices":[7,{"name":7},{"name":"other"}]}', b"[" * 9999],
)
def test_a_damaged_file_has_no_devices(specs: ClaimSpecs, tmp_path: Path, content: bytes) -> None:
    path(tmp_path).write_bytes(content)
    assert specs.devices(UID) == ()


def test_files_of_others_are_no_claims(specs: ClaimSpecs, tmp_path: Path) -> None:
    (tmp_path / "k8s.device-plugin.nvidia.com-gpu.json").write_text("{}")
    path(tmp_path, "a b").write_text("{}")
    assert specs.uids() == ()


def test_a_folder_that_is_missing_has_no_claims_and_is_created(tmp_path: Path) -> None:
    specs = ClaimSpecs(tmp_path / "cdi")
    specs.remove(UID)
    assert (specs.uids(), specs.exists(UID)) == ((), False)
    specs.write(UID, plan_spec(UID, {"gpu-0": NODES}, COMMON))
    assert specs.exists(UID)


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClaimError, match="cannot be written"):
        ClaimSpecs(tmp_path / "file" / "cdi").write(UID, plan_spec(UID, {"gpu-0": NODES}, COMMON))

"""Doctor compares the driver's record of claims with its CDI specifications and with the claims of the cluster."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dra_driver.claims.holding import Claim, Holding
from dra_driver.claims.store import ClaimStore
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.doctor.dra import claims as module
from gpunode.doctor.dra.claims import check_allocated, check_specs, list_node_claims, read_recorded
from node_core.errors import KubeError
from node_core.kube.http import ApiClient

BOOT = "boot-1"


def claim(name: str = "a", *devices: str, is_prepared: bool = True) -> Claim:
    holdings = tuple(Holding(requests=("r",), pool="n1", device=each, gpu="GPU-0") for each in devices or ("gpu-0",))
    return Claim(namespace="ml", name=name, is_prepared=is_prepared, holdings=holdings)


def allocated(name: str = "a", *devices: str, pods: tuple[str, ...] = ("p",), pool: str = "n1") -> ResourceClaim:
    results = [{"driver": "gpu.nvidia.com", "pool": pool, "device": each} for each in devices or ("gpu-0",)]
    status = {
        "allocation": {"devices": {"results": results}},
        "reservedFor": [{"resource": "pods", "name": each} for each in pods],
    }
    return msgspec.convert(
        {"metadata": {"namespace": "ml", "name": name, "uid": name}, "status": status}, ResourceClaim
    )


def write_spec(folder: Path, uid: str = "a", device: str = "gpu-0", **changes: Any) -> None:
    edits = {"env": ["A=b"]}
    spec = {
        "cdiVersion": "0.6.0",
        "kind": "k8s.gpu.nvidia.com/claim",
        "devices": [{"name": f"{uid}-{device}", "containerEdits": edits}],
    }
    (folder / f"k8s.gpu.nvidia.com-claim_{uid}.json").write_text(json.dumps(spec | changes))


def problems(checks: Any) -> list[str]:
    return [each.sentence for each in checks if each.status == "problem"]


def test_the_record_is_read_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    ClaimStore(path, BOOT).write({"a": claim(), "b": claim("b", is_prepared=False)})
    found = read_recorded(path, BOOT)
    assert set(found.claims or ()) == {"a", "b"}
    assert [each.sentence for each in found.checks] == [f"{path} records 2 claims, 1 prepared"]


def test_a_damaged_record_is_a_problem_and_doctor_does_not_rename_it(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    path.write_bytes(b'{"version": 1, "claims"')
    found = read_recorded(path, BOOT)
    assert found.claims is None
    (sentence,) = problems(found.checks)
    assert sentence.startswith(f"{path} is damaged: ")
    assert [each.name for each in tmp_path.iterdir()] == ["claims.json"]


def test_a_copy_of_a_damaged_record_is_a_problem_beside_a_valid_one(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    ClaimStore(path, BOOT).write({})
    (tmp_path / "claims.damaged").touch()
    found = read_recorded(path, BOOT)
    assert found.claims == {}
    assert [each.status for each in found.checks] == ["ok", "problem"]
    assert str(found.checks[1].todo).endswith(f"remove {tmp_path}/claims.damaged")


def test_a_record_of_a_newer_version_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    path.write_text('{"version": 2}')
    assert problems(read_recorded(path, BOOT).checks) == [f"the claims {path} are of another version than 1"]


def test_after_a_reboot_no_claim_is_prepared(tmp_path: Path) -> None:
    ClaimStore(tmp_path / "claims.json", "boot-0").write({"a": claim()})
    found = read_recorded(tmp_path / "claims.json", BOOT)
    assert (found.claims, [each.status for each in found.checks]) == ({}, ["note"])


def test_a_record_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "claims.json").mkdir()
    found = read_recorded(tmp_path / "claims.json", BOOT)
    assert (found.claims, [each.status for each in found.checks]) == (None, ["note"])


def test_valid_specifications_of_prepared_claims_are_ok(tmp_path: Path) -> None:
    write_spec(tmp_path)
    (found,) = check_specs(tmp_path, {"a": claim(), "b": claim("b", is_prepared=False)})
    assert (found.status, found.sentence) == ("ok", f"the CDI specifications of 1 claim in {tmp_path} are valid")


def test_a_missing_specification_is_a_problem(tmp_path: Path) -> None:
    (sentence,) = problems(check_specs(tmp_path, {"a": claim()}))
    assert sentence.startswith("the claim ml/a is prepared, but ")


def test_a_specification_that_is_not_valid_is_a_problem(tmp_path: Path) -> None:
    write_spec(tmp_path, cdiVersion="9")
    (sentence,) = problems(check_specs(tmp_path, {"a": claim()}))
    assert "k8s.gpu.nvidia.com-claim_a.json is not valid: " in sentence


def test_a_specification_without_a_device_of_the_claim_is_a_problem(tmp_path: Path) -> None:
    write_spec(tmp_path)
    (sentence,) = problems(check_specs(tmp_path, {"a": claim("a", "gpu-0", "gpu-1")}))
    assert sentence.endswith("k8s.gpu.nvidia.com-claim_a.json lacks gpu-1")


def test_a_specification_without_a_claim_is_a_note(tmp_path: Path) -> None:
    write_spec(tmp_path, "b")
    (found,) = check_specs(tmp_path, {})
    assert found.status == "note"
    assert "does not record: b" in found.sentence


def test_claims_that_agree_are_ok() -> None:
    (found,) = check_allocated((allocated(), allocated("idle", pods=())), {"a": claim()}, "n1")
    assert (
        found.sentence
        == "2 claims of the cluster have GPUs of this node, 1 of them with pods: each of them is prepared"
    )


def test_a_node_without_claims_has_nothing_to_compare() -> None:
    assert list(check_allocated((), {}, "n1")) == []


@pytest.mark.parametrize(
    ("record", "how"),
    [({}, "it is not prepared"), ({"a": claim(is_prepared=False)}, "its preparation has not ended")],
    ids=["no record", "begun"],
)
def test_a_reserved_claim_that_is_not_prepared_is_a_problem(record: dict[str, Claim], how: str) -> None:
    (found,) = check_allocated((allocated(),), record, "n1")
    assert (found.status, found.sentence) == ("problem", f"the claim ml/a is reserved for the pod ml/p, but {how}")
    assert "kubectl -n ml describe pod p" in str(found.todo)


def test_a_prepared_claim_that_is_gone_or_has_other_devices_is_a_problem() -> None:
    assert problems(check_allocated((), {"a": claim()}, "n1")) == [
        "the claim ml/a is prepared, but it does not exist any more, or has no device of this node"
    ]
    assert problems(check_allocated((allocated("a", "gpu-1"),), {"a": claim()}, "n1")) == [
        "the claim ml/a is prepared with gpu-0, but gpu-1 are allocated"
    ]


def test_only_claims_of_this_node_are_listed_and_a_refusal_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (allocated(), allocated("b", pool="n2"))
    monkeypatch.setattr(module, "read_claims", lambda *_: listed)
    api = ApiClient(kubeconfig=None, user_agent="t")
    assert list_node_claims(api, "v1", "n1") == listed[:1]

    def refuse(*_: object) -> Any:
        raise KubeError("you are not permitted to list resourceclaims", status=403)

    monkeypatch.setattr(module, "read_claims", refuse)
    assert list_node_claims(api, "v1", "n1") == "you are not permitted to list resourceclaims"

"""A machine is a Node if the boot ID or the machine ID is equal."""

import socket
from pathlib import Path
from typing import Any

import pytest

from gpunode.cleanup import machine
from gpunode.cleanup.machine import is_this_machine


@pytest.fixture(autouse=True)
def own_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "machine-id").write_text("m\n")
    monkeypatch.setattr(machine, "MACHINE_ID", tmp_path / "machine-id")
    monkeypatch.setattr(machine, "read_boot_id", lambda: "b")
    monkeypatch.setattr(socket, "gethostname", lambda: "host")


@pytest.mark.parametrize(
    ("info", "is_this"),
    [
        ({"bootID": "b", "machineID": "other"}, True),
        ({"bootID": "earlier", "machineID": "m"}, True),
        ({"bootID": "other", "machineID": "other"}, False),
        ({"bootID": "other"}, False),
    ],
)
def test_the_boot_id_or_the_machine_id_is_equal(info: dict[str, str], *, is_this: bool) -> None:
    assert is_this_machine({"status": {"nodeInfo": info}}, "host", None) is is_this


@pytest.mark.parametrize("node", [{}, {"status": None}, {"status": {"nodeInfo": {"bootID": ""}}}])
def test_without_a_boot_id_the_name_or_a_file_of_the_node_is_sufficient(node: dict[str, Any], tmp_path: Path) -> None:
    assert is_this_machine(node, "host", None)
    assert not is_this_machine(node, "n3", tmp_path)
    (tmp_path / "gfd.n3.lock").touch()
    assert is_this_machine(node, "n3", tmp_path)


def test_a_missing_machine_id_is_not_equal_to_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "machine-id").unlink()
    assert not is_this_machine({"status": {"nodeInfo": {"bootID": "other", "machineID": ""}}}, "host", None)

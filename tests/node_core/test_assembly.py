"""What the edges are made of by the settings."""

from dataclasses import replace
from pathlib import Path

import pytest

from device_plugin.health.build import state_file
from node_core.assembly import Edges
from node_core.runtime.settings import CommonSettings

COMMON = CommonSettings(
    node_name="n1",
    kubeconfig=None,
    simulate=None,
    host_root=Path("/"),
    oneshot=False,
    interval=None,
    address="",
    log_format="json",
    log_level="info",
    lock_dir=None,
)


@pytest.mark.parametrize("oneshot", [False, True])
def test_a_lock_is_taken_where_it_has_a_folder_and_the_process_stays(tmp_path: Path, oneshot: bool) -> None:
    lock = Edges(replace(COMMON, lock_dir=tmp_path, oneshot=oneshot), "gfd").lock("gfd")
    assert (lock is None) is oneshot
    if lock is not None:
        assert lock.acquire() is None
        assert [path.name for path in tmp_path.iterdir()] == ["gfd.n1.lock"]
        lock.release()


def test_without_a_folder_there_is_no_lock_and_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    edges = Edges(COMMON, "gpu-device-plugin")
    assert edges.lock("gpu-device-plugin") is None
    state_file("gpu-device-plugin", edges).write({})
    assert list(tmp_path.iterdir()) == []

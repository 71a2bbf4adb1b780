"""What counts as a change of the cluster, and what the page states about missing rights."""

from pathlib import Path

import msgspec

from gpunode.cluster.connection import connect
from gpunode.ui.feed import NODE_RESOURCE, ClusterFeed, is_equal
from simulation.apiserver import ApiServer
from tests.waiting import until


def test_a_heartbeat_is_not_a_change() -> None:
    node = {"metadata": {"name": "a"}}
    heartbeat = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    before = {"a": NODE_RESOURCE.parse({**node, "status": {"conditions": [heartbeat]}}, 0)}
    later = {**heartbeat, "lastHeartbeatTime": "2026-01-01T00:05:00Z"}
    after = {"a": NODE_RESOURCE.parse({**node, "status": {"conditions": [later]}}, 0)}
    assert is_equal(before, after)
    changed = msgspec.structs.replace(
        after["a"], metadata=msgspec.structs.replace(after["a"].metadata, labels={"x": "y"})
    )
    assert not is_equal(before, {"a": changed})
    assert not is_equal(before, {})
    assert not is_equal(None, {})


def test_the_missing_rights_are_named(tmp_path: Path) -> None:
    with ApiServer() as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        server.fail_next(1000, 403)
        feed = ClusterFeed(connect(str(tmp_path / "kubeconfig")).api, lambda: None)
        feed.start()
        until(lambda: len(feed.snapshot().problems) == 2)
        feed.stop()
    problems = feed.snapshot().problems
    assert problems["nodes"].startswith("you are not permitted to list nodes: ")
    assert "gpunode-viewer" in problems["pods"]

"""What counts as a change of the cluster."""

import msgspec

from gpunode.ui.feed import NODE_RESOURCE, is_equal


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

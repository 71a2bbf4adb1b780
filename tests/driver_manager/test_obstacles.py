"""The pods that must not be evicted."""

from driver_manager.obstacles import find_obstacles
from gpu_core.pods.eviction import parse_drain_pods
from tests.driver_manager.places import pod


def test_obstacles_name_the_pods_and_the_setting() -> None:
    local = pod("local")
    local["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "c"}}]
    pods = parse_drain_pods({"items": [pod("lonely", kind=""), local, pod("other")]})
    lonely, data = find_obstacles(pods, force=False, deletes_local_data=False)
    assert "ml/lonely (set DRAIN_USE_FORCE=true" in lonely
    assert "ml/local would be lost (set DRAIN_DELETE_EMPTYDIR_DATA=true)" in data
    assert find_obstacles(pods, force=True, deletes_local_data=True) == ()

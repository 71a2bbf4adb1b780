"""Evicting pods, and waiting for their end."""

import math

import pytest

from driver_manager.evictor import EvictionPolicy
from node_core.errors import DriverError, KubeError
from tests.driver_manager.places import Place, pod


def test_pods_with_gpus_are_evicted_and_others_stay(place: Place) -> None:
    place.add_pods([pod("train", gpus=2), pod("web")])
    place.uninstaller().evictor.evict_gpu_pods()
    assert [*place.api.pods] == ["web"]


def test_pods_with_claims_are_evicted_if_the_claims_have_gpus(place: Place) -> None:
    place.add_pods([pod("train", claim="gpu"), pod("render", claim="nic")])
    place.api.claims = {"gpu": "gpu.nvidia.com", "nic": "nic.example.com"}
    place.uninstaller().evictor.evict_gpu_pods()
    assert [*place.api.pods] == ["render"]


def test_a_drain_evicts_all_pods_except_those_of_daemon_sets(place: Place) -> None:
    place.add_pods([pod("train", gpus=2), pod("web"), pod("agent", kind="DaemonSet")])
    place.uninstaller().evictor.drain()
    assert [*place.api.pods] == ["agent"]


def test_a_budget_that_never_allows_ends_with_the_pod_and_the_reason(place: Place) -> None:
    place.add_pods([pod("train", gpus=2)])
    place.api.protected = {"train"}
    with pytest.raises(DriverError, match=r"within 5 s: ml/train \(a disruption budget forbids the eviction\)"):
        place.uninstaller().evictor.evict_gpu_pods()


def test_the_eviction_is_repeated_until_the_budget_allows_it_without_a_limit(place: Place) -> None:
    place.add_pods([pod("train", gpus=2)])
    place.api.protected = {"train"}
    place.on_sleep = lambda: place.api.protected.clear() if place.now > 1000 else None
    place.uninstaller(policy=EvictionPolicy(seconds=math.inf)).evictor.evict_gpu_pods()
    assert not place.api.pods


def test_a_refused_eviction_is_requested_every_five_seconds(place: Place) -> None:
    place.add_pods([pod("train", gpus=2)])
    place.api.protected = {"train"}
    place.on_sleep = lambda: place.api.protected.clear() if place.now >= 60 else None
    place.uninstaller(policy=EvictionPolicy(seconds=math.inf)).evictor.evict_gpu_pods()
    assert sum(path.endswith("/eviction") for _, path in place.api.requests) == 13


def test_a_pod_that_is_ending_is_not_evicted_again(place: Place) -> None:
    ending = pod("train", gpus=2)
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    place.add_pods([ending])
    place.on_sleep = place.api.pods.clear
    place.uninstaller().evictor.evict_gpu_pods()
    assert place.api.writes == []


def test_a_pod_without_a_controller_stays_and_nothing_is_evicted(place: Place) -> None:
    place.add_pods([pod("lonely", gpus=1, kind=""), pod("train", gpus=1)])
    with pytest.raises(DriverError, match="no controller replaces ml/lonely"):
        place.uninstaller().evictor.evict_gpu_pods()
    assert place.api.writes == []
    place.uninstaller(policy=EvictionPolicy(force=True)).evictor.evict_gpu_pods()
    assert not place.api.pods


def test_a_missing_right_is_an_error(place: Place) -> None:
    place.api.errors = [KubeError("pods is forbidden", status=403)]
    with pytest.raises(KubeError, match="forbidden"):
        place.uninstaller().evictor.drain()

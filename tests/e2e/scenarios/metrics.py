"""A real Prometheus scrapes gpu-exporter, and PromQL returns the pods of each kind of device."""

from tests.e2e.objects import pod
from tests.e2e.prometheus import Prometheus, Sample, check_metrics, scraping
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

SLICE, SHARED = "nvidia.com/mig-3g.40gb", "nvidia.com/gpu.slice"
CONFIG = """version: v1
sharing:
  timeSlicing:
    resources:
      - {name: nvidia.com/gpu, devices: [0], rename: gpu.slice, replicas: 2}
"""
SETUP = Setup(gpus="h100x8-mig-mixed", config=CONFIG, flags=("--mig-strategy=mixed",), exports_metrics=True)
PROFILES = dict.fromkeys((SLICE, *(f"nvidia.com/mig-{each}" for each in ("2g.20gb", "1g.10gb.me", "1g.10gb"))), "2")
NEEDS_PROMETHEUS = "Prometheus must be built from its Go module"


def prometheus_returns_the_pod_of_each_device(world: World) -> None:
    world.agents(SETUP)
    world.until_allocatable({GPU: "5", SHARED: "2", **PROFILES})
    world.apply(pod("whole", {GPU: 1}), pod("slice", {SLICE: 1}), pod("one", {SHARED: 1}), pod("two", {SHARED: 1}))
    world.until_running("whole", "slice", "one", "two")
    problems = check_metrics(world.metrics_address())
    assert not problems, "\n".join(problems)
    with scraping(world.metrics_address(), world.node) as prometheus:
        verify_whole_gpu(world, prometheus)
        verify_mig_device(world, prometheus)
        verify_shared_gpu(world, prometheus)
        verify_idle_gpus(world, prometheus)
        world.kubectl("delete", "pod", "whole")
        until(world, prometheus, 'absent(DCGM_FI_DEV_GPU_TEMP{pod="whole"})')


def verify_whole_gpu(world: World, prometheus: Prometheus) -> None:
    (uuid,) = world.container("whole").gpus
    (temperature,) = until(world, prometheus, 'DCGM_FI_DEV_GPU_TEMP{pod="whole"}')
    labels = temperature.labels
    assert (labels["UUID"], labels["namespace"], labels["container"]) == (uuid, "default", "main")
    assert (labels["node"], labels["Hostname"]) == (world.node, world.node)
    assert temperature.value > 0


def verify_mig_device(world: World, prometheus: Prometheus) -> None:
    (uuid,) = world.container("slice").gpus
    (memory,) = until(world, prometheus, 'DCGM_FI_DEV_FB_FREE{pod="slice"}')
    assert memory.labels["GPU_I_PROFILE"] == "3g.40gb"
    (device,) = prometheus.query('gpunode_mig_device_info and on (UUID, GPU_I_ID) gpunode_pod_gpu_info{pod="slice"}')
    assert device.labels["mig_uuid"] == uuid


def verify_shared_gpu(world: World, prometheus: Prometheus) -> None:
    """The series of the GPU are single and have no pod. Both pods are joined with its temperature."""
    uuids = world.container("one").gpus | world.container("two").gpus
    both = until(world, prometheus, 'gpunode_pod_gpu_info{pod=~"one|two"}', count=2)
    assert {each.labels["UUID"] for each in both} == uuids
    (uuid,) = uuids
    (temperature,) = prometheus.query(f'DCGM_FI_DEV_GPU_TEMP{{UUID="{uuid}"}}')
    assert "pod" not in temperature.labels
    joined = prometheus.query('gpunode_pod_gpu_info{pod=~"one|two"} * on (UUID) group_left () DCGM_FI_DEV_GPU_TEMP')
    assert {each.labels["pod"]: each.value for each in joined} == dict.fromkeys(("one", "two"), temperature.value)


def verify_idle_gpus(world: World, prometheus: Prometheus) -> None:
    """A GPU without pods does not get the pod of gpu-exporter. No alert about GPUs fires."""
    (idle,) = until(world, prometheus, 'count(DCGM_FI_DEV_GPU_TEMP{pod=""})')
    assert idle.value == 7
    assert prometheus.query('ALERTS{alertname=~"GPU(Unreadable|MetricsStale|RowRemap.*|Throttled)"}') == []


def until(world: World, prometheus: Prometheus, expression: str, *, count: int = 1) -> list[Sample]:
    """Waits until the query returns this number of samples."""

    def read() -> list[Sample]:
        found = prometheus.query(expression)
        return found if len(found) == count else []

    found: list[Sample] = world.until(f"{count} samples of {expression}", read)
    return found


SCENARIOS = (Scenario(prometheus_returns_the_pod_of_each_device, real_only=NEEDS_PROMETHEUS),)

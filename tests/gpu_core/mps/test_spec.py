"""The settings of MPS daemons, and the paths of their clients."""

from gpu_core.domain.resources import GPU
from gpu_core.mps.spec import MpsDaemonSpec, MpsGpu, mps_access
from tests.gpu_core.mps.stage import ONE, WANTED


def test_containers_connect_to_the_daemon_at_nvidias_paths() -> None:
    access = mps_access(GPU, "/run/nvidia/mps/")
    assert access.pipe == "/run/nvidia/mps/nvidia.com/gpu/pipe"
    assert (access.shm, access.container_pipe) == ("/run/nvidia/mps/shm", "/mps/nvidia.com/gpu/pipe")


def test_each_client_gets_its_share_of_memory_and_threads() -> None:
    assert WANTED.settings.commands == (
        "set_default_device_pinned_mem_limit 0 20480M",
        "set_default_device_pinned_mem_limit 1 20480M",
        "set_default_active_thread_percentage 25",
    )
    boundless = MpsDaemonSpec(resource=GPU, gpus=(MpsGpu(uuid=ONE, memory_mib=None, replicas=48),))
    assert boundless.settings.commands == ("set_default_active_thread_percentage 2",)

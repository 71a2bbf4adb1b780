"""Which versions inject CDI devices."""

import pytest

from node_core.domain.cdi_support import find_cdi_obstacle, is_at_least


@pytest.mark.parametrize(
    ("kubelet", "runtime", "obstacle"),
    [
        ("v1.31.2-gke.1", "containerd://2.0.1", None),
        ("v1.29.0", "cri-o://1.28.0", None),
        ("v1.28.9", "containerd://2.0.1", "kubelet v1.28.9: passing CDI devices requires 1.29"),
        ("v1.31.2", "containerd://1.7.24", "containerd://1.7.24: injecting CDI devices by default requires 2.0"),
        ("v1.31.2", "docker://27.1", "container runtime docker://27.1 is not known to inject CDI devices"),
        ("", "", "kubelet of unknown version: passing CDI devices requires 1.29"),
    ],
    ids=["containerd", "cri-o", "old kubelet", "old containerd", "docker", "unknown"],
)
def test_a_node_injects_cdi_devices_if_the_kubelet_and_the_runtime_do(
    kubelet: str, runtime: str, obstacle: str | None
) -> None:
    assert find_cdi_obstacle(kubelet, runtime) == obstacle


def test_a_text_without_a_version_is_older_than_every_version() -> None:
    assert not is_at_least("unknown", (0, 0))

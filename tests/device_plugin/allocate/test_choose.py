"""Device list strategy `auto`, and the version of CDI specifications, by the versions that the Node reports."""

import pytest

from device_plugin.allocate.choose import select_device_list
from gpu_core.cdi.groups import groups_reason


@pytest.mark.parametrize(
    ("kubelet", "runtime", "expected", "why"),
    [
        ("v1.36.3", "containerd://2.1.9", "cdi-cri", "kubelet v1.36.3 and containerd://2.1.9"),
        ("v1.29.0", "containerd://2.0.0-rc.1", "cdi-cri", "inject"),
        ("v1.31.2-gke.1", "cri-o://1.31.0", "cdi-cri", "inject"),
        ("v1.32.4+k3s1", "containerd://2.0.5-k3s1.32", "cdi-cri", "inject"),
        ("v1.33.0-eks-1234567", "containerd://v2.1.3+azure", "cdi-cri", "inject"),
        ("v1.32+", "cri-o://1.32.4-2.rhaos4.19.git1234567.el9", "cdi-cri", "inject"),
        ("v1.32.4+rke2r1", "containerd://1.7.27-k3s1", "envvar", "requires 2.0"),
        ("v1.28.15", "containerd://2.0.1", "envvar", "requires 1.29"),
        ("v1.31.0", "containerd://1.7.27", "envvar", "requires 2.0"),
        ("v1.31.0", "cri-o://1.27.1", "envvar", "requires 1.28"),
        ("v1.31.0", "docker://25.0.3", "envvar", "docker://25.0.3 is not known"),
        ("v1.31.0", "", "envvar", "of unknown name"),
        ("", "containerd://2.0.1", "envvar", "of unknown version"),
        ("latest", "containerd://2.0.1", "envvar", "kubelet latest"),
        ("v1.31.0", "containerd://", "envvar", "requires 2.0"),
        ("v1.31.0", "containerd://2", "cdi-cri", "inject"),
        ("v1.31.0", f"containerd://{'9' * 5000}", "cdi-cri", "inject"),
        (f"v1.{'9' * 5000}", "containerd://2.0.1", "cdi-cri", "inject"),
        ("v1.31.0", "containerd://\u0662.\u0660", "envvar", "requires 2.0"),
    ],
)
def test_auto_selects_cdi_only_if_kubelet_and_runtime_support_it(
    kubelet: str, runtime: str, expected: str, why: str
) -> None:
    choice = select_device_list(kubelet=kubelet, runtime=runtime, no_specs_reason=None)
    assert choice.device_list == expected
    assert why in choice.why


def test_without_cdi_specifications_auto_selects_the_environment() -> None:
    choice = select_device_list(
        kubelet="v1.36.3", runtime="containerd://2.1.9", no_specs_reason="no driver below /driver-root"
    )
    assert choice.device_list == "envvar"
    assert choice.why.startswith("no driver below /driver-root; NVIDIA's container runtime must read")


@pytest.mark.parametrize(
    ("runtime", "why"),
    [
        ("containerd://2.0.0", None),
        ("containerd://v2.1", None),
        ("containerd://2.1.4-k3s1", None),
        ("containerd://1.7.16", None),
        ("containerd://1.7.28-k3s2", None),
        ("containerd://1.7.15", "containerd://1.7.15: reading CDI 0.7.0 requires 1.7.16"),
        ("containerd://1.7", "containerd://1.7: reading CDI 0.7.0 requires 1.7.16"),
        ("containerd://1.6.33", "containerd://1.6.33: reading CDI 0.7.0 requires 1.7.16"),
        ("cri-o://1.30.0", None),
        ("cri-o://1.33.4-3.rhaos4.20.git1", None),
        ("cri-o://1.28.0", "cri-o://1.28.0: reading CDI 0.7.0 requires 1.30"),
        ("cri-o://1.29.13", "cri-o://1.29.13: reading CDI 0.7.0 requires 1.30"),
        ("docker://27.1.1", None),
        ("docker://25.0.3", "docker://25.0.3: reading CDI 0.7.0 requires 27"),
        ("containerd://", "containerd://: reading CDI 0.7.0 requires 1.7.16"),
        ("containerd://main", "containerd://main: reading CDI 0.7.0 requires 1.7.16"),
        ("other://9", "container runtime other://9 is not known to read CDI 0.7.0"),
        ("", "container runtime of unknown name is not known to read CDI 0.7.0"),
    ],
)
def test_only_runtimes_that_read_version_0_7_0_get_groups(runtime: str, why: str | None) -> None:
    assert groups_reason(runtime) == why

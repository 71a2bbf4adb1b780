"""Which strategy `auto` is, by what the Node says of itself."""

import pytest

from device_plugin.allocate.choose import choose_device_list


@pytest.mark.parametrize(
    ("kubelet", "runtime", "expected", "why"),
    [
        ("v1.36.3", "containerd://2.1.9", "cdi-cri", "kubelet v1.36.3 and containerd://2.1.9"),
        ("v1.29.0", "containerd://2.0.0-rc.1", "cdi-cri", "inject"),
        ("v1.31.2-gke.1", "cri-o://1.31.0", "cdi-cri", "inject"),
        ("v1.28.15", "containerd://2.0.1", "envvar", "before 1.29"),
        ("v1.31.0", "containerd://1.7.27", "envvar", "before 2.0"),
        ("v1.31.0", "cri-o://1.27.1", "envvar", "before 1.28"),
        ("v1.31.0", "docker://25.0.3", "envvar", "docker://25.0.3 is not known"),
        ("v1.31.0", "", "envvar", "of unknown name"),
        ("", "containerd://2.0.1", "envvar", "of unknown version"),
        ("latest", "containerd://2.0.1", "envvar", "kubelet latest"),
        ("v1.31.0", "containerd://", "envvar", "before 2.0"),
    ],
)
def test_cdi_is_chosen_only_where_kubelet_and_runtime_are_known_for_it(
    kubelet: str, runtime: str, expected: str, why: str
) -> None:
    choice = choose_device_list(kubelet=kubelet, runtime=runtime, no_specs=None)
    assert choice.device_list == expected
    assert why in choice.why


def test_without_specifications_there_is_nothing_to_refer_to() -> None:
    choice = choose_device_list(
        kubelet="v1.36.3", runtime="containerd://2.1.9", no_specs="no driver below /driver-root"
    )
    assert choice.device_list == "envvar"
    assert choice.why.startswith("no driver below /driver-root; NVIDIA's container runtime has to")

"""Pods and containers in the names of cgroups, as kubelets and runtimes write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.pods.cgroups import PodCgroup, parse_cgroup

UID = "6f0d5dd2-7d4b-4b1e-8a7c-1f7d0e3a9c11"
SLICE = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
OTHER = "0a0b0c0d-1111-2222-3333-444455556666"
STATIC = "0123456789abcdef0123456789abcdef"
ID = "9b74c9897bac770ffc029102a200c5de" * 2
INNER = "f" * 64
FOUND = (PodCgroup(UID, ID),)


@pytest.mark.parametrize(
    ("path", "pods"),
    [
        pytest.param(f"/kubepods.slice/kubepods-burstable.slice/{SLICE}/cri-containerd-{ID}.scope", FOUND, id="containerd, systemd"),
        pytest.param(f"/kubepods/burstable/pod{UID}/{ID}", FOUND, id="containerd, cgroupfs"),
        pytest.param(f"/kubepods/pod{UID}/{ID}", FOUND, id="guaranteed"),
        pytest.param(f"/kubepods.slice/kubepods-besteffort.slice/{SLICE}/crio-{ID}.scope/container", FOUND, id="CRI-O, systemd"),
        pytest.param(f"/kubepods/besteffort/pod{UID}/crio-{ID}", FOUND, id="CRI-O, cgroupfs"),
        pytest.param(f"/kubepods.slice/{SLICE}/docker-{ID}.scope", FOUND, id="cri-dockerd"),
        pytest.param(f"/system.slice/containerd.service/{SLICE}:cri-containerd:{ID}", FOUND, id="drivers that differ"),
        pytest.param(f"/../../{SLICE}/cri-containerd-{ID}.scope", FOUND, id="cgroup namespace, systemd"),
        pytest.param(f"/../../pod{UID}/{ID}", FOUND, id="cgroup namespace, cgroupfs"),
        pytest.param(f"/kubepods/burstable/pod{UID}", (PodCgroup(UID),), id="no container"),
        pytest.param(f"/kubepods/burstable/pod{UID}/{ID}/docker/{INNER}", FOUND, id="Docker in the container"),
        pytest.param(f"/kubepods/burstable/pod{STATIC}/{ID}", (PodCgroup(STATIC, ID),), id="static pod"),
        pytest.param(
            f"/docker/{INNER}/kubelet.slice/kubelet-kubepods.slice/kubelet-{SLICE}/cri-containerd-{ID}.scope", FOUND, id="kind"
        ),
        pytest.param(
            f"/kubepods/pod{OTHER}/{INNER}/kubelet/kubepods/burstable/pod{UID}/{ID}",
            (PodCgroup(OTHER, INNER), PodCgroup(UID, ID)),
            id="a kubelet in a pod",
        ),
        pytest.param(
            f"/kubepods/pod{OTHER}/kubepods/pod{UID}/{ID}", (PodCgroup(OTHER), PodCgroup(UID, ID)), id="a container is of the inner pod"
        ),
        pytest.param("/", (), id="root"),
        pytest.param("/system.slice/nvidia-persistenced.service", (), id="a service of the host"),
        pytest.param(f"/system.slice/docker-{ID}.scope", (), id="a container of the host"),
        pytest.param(f"/machine.slice/machine-libpod_pod_{ID}.slice/libpod-{ID}.scope", (), id="a pod of Podman"),
        pytest.param(f"/user.slice/pod{UID}x/pods{UID}/podx{UID}", (), id="similar names"),
        pytest.param(f"/kubepods/pod{UID.replace('-', '_', 1)}/{ID}", (), id="mixed separators"),
    ],
)  # fmt: skip
def test_the_names_of_kubelet_and_runtimes_lead_to_pod_and_container(path: str, pods: tuple[PodCgroup, ...]) -> None:
    assert parse_cgroup(f"0::{path}\n") == pods
    assert parse_cgroup(f"12:pids:{path}\n1:name=systemd:{path}\n0::/\n") == pods


def test_the_first_hierarchy_with_a_pod_counts() -> None:
    assert parse_cgroup(f"4:memory:/\n3:pids:/kubepods/pod{UID}/{ID}\n2:cpu:/kubepods/pod{OTHER}/{ID}") == FOUND


@pytest.mark.parametrize("text", ["", "\n", "0:", f"0:/kubepods/pod{UID}", f"pod{UID}", "\x00" * 100])
def test_other_text_is_in_no_pod(text: str) -> None:
    assert parse_cgroup(text) == ()


@given(
    st.lists(
        st.sampled_from([f"pod{UID}", SLICE, ID, f"cri-containerd-{ID}.scope", "..", "", "kubepods", ":", "x"]),
        max_size=9,
    )
)
def test_every_path_has_as_many_pods_as_names_of_pods(names: list[str]) -> None:
    found = parse_cgroup(f"0::/{'/'.join(names)}")
    assert len(found) == sum(name in (f"pod{UID}", SLICE) for name in names)
    assert {pod.uid for pod in found} <= {UID}

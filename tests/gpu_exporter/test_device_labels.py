"""The labels of devices: names and order of dcgm-exporter."""

from gpu_core.domain.inventory import Fault
from gpu_core.pods.holders import Holder
from gpu_exporter.device_labels import (
    RESERVED,
    LabelOptions,
    claim_labels,
    fault_labels,
    gpu_labels,
    instance_labels,
    pod_labels,
)
from node_core.domain.pci import PciAddress
from node_core.kubelet.podresources import ClaimedDevice
from node_core.values import replace
from tests.gpu_core.pods.nodes import gpu, mig, uuid

GPU = replace(gpu(1), address=PciAddress("0000:1b:00.0"))
OPTIONS = LabelOptions(hostname="n1")
CLAIM = ClaimedDevice(claim="one", namespace="team", driver="gpu.nvidia.com", pool="n1", device="gpu-5")
HOLDER = Holder(pod="train", namespace="team", container="main", pod_uid="u1", labels={"app": "x"})


def test_a_gpu_has_the_labels_of_dcgm_exporter_in_its_order() -> None:
    assert gpu_labels(GPU, OPTIONS) == (
        ("gpu", "1"),
        ("UUID", f"GPU-{uuid(1)}"),
        ("pci_bus_id", "00000000:1B:00.0"),
        ("device", "nvidia5"),
        ("modelName", "NVIDIA H100 80GB HBM3"),
        ("Hostname", "n1"),
    )


def test_a_gpu_instance_has_the_labels_of_its_gpu_and_two_more_before_the_hostname() -> None:
    labels = instance_labels(GPU, 7, "1g.10gb", OPTIONS)
    assert labels[:-3] == gpu_labels(GPU, OPTIONS)[:-1]
    assert labels[-3:] == (("GPU_I_PROFILE", "1g.10gb"), ("GPU_I_ID", "7"), ("Hostname", "n1"))
    assert dict(instance_labels(GPU, 7, None, OPTIONS))["GPU_I_PROFILE"] == ""


def test_a_gpu_without_a_pci_address_and_a_minor_number_has_the_index_as_device() -> None:
    labels = dict(gpu_labels(gpu(3, minor=None), OPTIONS))
    assert "pci_bus_id" not in labels
    assert labels["device"] == "nvidia3"


def test_options_change_the_hostname_and_the_model() -> None:
    other = gpu_labels(GPU, LabelOptions(hostname_label="hostname", hostname="n1", replaces_blanks=True))
    assert other[-2:] == (("modelName", "NVIDIA-H100-80GB-HBM3"), ("hostname", "n1"))
    assert gpu_labels(GPU, LabelOptions(hostname_label=""))[-1][0] == "modelName"


def test_a_gpu_that_was_never_read_has_what_is_known() -> None:
    assert fault_labels(Fault(index=2, uuid=None, reason="lost"), OPTIONS) == (
        ("gpu", "2"),
        ("UUID", ""),
        ("Hostname", "n1"),
    )


def test_the_pod_of_a_device_has_the_order_of_dcgm_exporter() -> None:
    labels = (("container", "main"), ("namespace", "team"), ("pod", "train"))
    assert pod_labels(HOLDER, OPTIONS) == (*labels, ("app", "x"))
    assert pod_labels(HOLDER, replace(OPTIONS, has_pod_uid=True)) == (*labels, ("pod_uid", "u1"), ("app", "x"))
    assert pod_labels(replace(HOLDER, pod_uid=""), replace(OPTIONS, has_pod_uid=True)) == (*labels, ("app", "x"))
    assert pod_labels(None, OPTIONS) == ()


def test_the_claim_of_a_device_has_the_names_of_dcgm_exporter() -> None:
    options = replace(OPTIONS, has_claims=True)
    of_claim = (
        ("dra_claim_name", "one"),
        ("dra_claim_namespace", "team"),
        ("dra_driver_name", "gpu.nvidia.com"),
        ("dra_pool_name", "n1"),
        ("dra_device_name", "gpu-5"),
    )
    assert claim_labels(CLAIM, GPU, None, options) == of_claim
    assert claim_labels(CLAIM, GPU, None, OPTIONS) == claim_labels(None, GPU, None, options) == ()
    of_mig = (("dra_mig_profile", "1g.10gb"), ("dra_mig_device_uuid", f"MIG-{uuid(7)}"))
    assert claim_labels(CLAIM, gpu(1, mig(7, 9)), 9, options) == (*of_claim, *of_mig)
    assert claim_labels(CLAIM, gpu(1, mig(7, 9), mig(8, 9, compute_instance=1)), 9, options) == of_claim


def test_old_names_of_pods_are_those_of_the_first_versions() -> None:
    labels = pod_labels(replace(HOLDER, labels={}), replace(OPTIONS, has_old_pod_names=True))
    assert labels == (("container_name", "main"), ("pod_namespace", "team"), ("pod_name", "train"))


def test_every_label_of_a_series_with_pods_is_reserved() -> None:
    options = replace(OPTIONS, has_pod_uid=True, has_claims=True)
    of_claim = claim_labels(CLAIM, gpu(1, mig(7, 9)), 9, options)
    labels = (*instance_labels(GPU, 7, "1g.10gb", options), *pod_labels(HOLDER, options), *of_claim)
    names = {name for name, _ in labels}
    assert names - {"app"} <= RESERVED
    assert {"err_code", "xid", "DCGM_FI_DRIVER_VERSION", "DCGM_FI_DEV_FB_TOTAL"} <= RESERVED
    assert not {"app", "version", "kind"} & RESERVED

import pytest

from nfd_lite.gpu_present import gpu_present
from node_core.domain.features import Features


@pytest.mark.parametrize(
    ("vendor", "pci_class", "present"),
    [
        ("10de", "0302", True),
        ("10de", "0300", True),
        ("10de", "0680", False),
        ("10de", "0403", False),
        ("1a03", "0300", False),
    ],
    ids=["3D controller", "VGA", "NVSwitch", "audio function", "a BMC's VGA"],
)
def test_only_nvidia_display_controllers_are_gpus(vendor: str, pci_class: str, *, present: bool) -> None:
    features = Features(instances={"pci.device": ({"class": pci_class, "vendor": vendor},)})
    assert gpu_present(features) == ({"nvidia.com/gpu.present": "true"} if present else {})


def test_a_host_without_pci_has_no_gpu() -> None:
    assert gpu_present(Features()) == {}

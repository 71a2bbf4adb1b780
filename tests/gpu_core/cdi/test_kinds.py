"""Names of CDI classes and devices."""

from gpu_core.cdi.kinds import FILE_NAMES, qualified_name
from tests.gpu_core.cdi.specs import GPU_FILE


def test_names_are_qualified_by_vendor_and_class() -> None:
    assert qualified_name("gpu", "GPU-5a") == "k8s.device-plugin.nvidia.com/gpu=GPU-5a"
    assert qualified_name("imex-channel", "0") == "k8s.device-plugin.nvidia.com/imex-channel=0"
    assert GPU_FILE in FILE_NAMES
    assert len(FILE_NAMES) == 5

"""The label nvidia.com/gpu.deploy.driver=pre-installed, which prevents driver pods on nodes whose host has a driver of its own. PURE.

The label has the key and value that NVIDIA's driver manager writes. It is part of the same write as nvidia.com/gpu.present, which driver
pods select, so that no driver pod can start before the label exists.
"""

from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import GPU_DEPLOY_DRIVER, PRE_INSTALLED, Labels

DECLARED = LabelDeclaration(
    key=GPU_DEPLOY_DRIVER,
    value="`pre-installed`",
    source="the files libnvidia-ml.so.1, nvidia-smi and modules.dep of the host",
    presence="with `--driver-label`, an NVIDIA GPU and a driver of the host; not if another client has set another value",
)


def pre_installed_driver(library: str | None) -> Labels:
    """Returns the label if the host has a driver. library: the path of the driver's library; None without a driver."""
    return {} if library is None else {GPU_DEPLOY_DRIVER: PRE_INSTALLED}

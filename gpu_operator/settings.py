"""The settings of gpu-operator, in addition to those of every agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from gpu_operator.render.pod import OperatorImages
from node_core.domain.duration import parse_sleep_interval
from node_core.domain.labels import namespace_name_problem
from node_core.errors import SettingsError
from node_core.kube.node_feature import find_pod_namespace
from node_core.runtime.setting import build, optional_text, setting


def _namespace(text: str) -> str | None:
    if text and (problem := namespace_name_problem(text)):
        raise ValueError(problem)
    return text or None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """operator_namespace: None for the namespace of the pod. gc_interval: seconds, None for never."""

    HEADING: ClassVar = "Drivers"

    drivers: bool = setting(
        "--drivers GPU_OPERATOR_DRIVERS", True, "Install the drivers that NVIDIADriver objects request.", fixed=True
    )
    feature_groups: bool = setting(
        "--feature-groups GPU_OPERATOR_FEATURE_GROUPS",
        False,
        "Write the Nodes of each NodeFeatureGroup in the namespace of --operator-namespace to its status.",
        heading="Node Feature Discovery",
        fixed=True,
    )
    gc_interval: float | None = setting(
        "--gc-interval GPU_OPERATOR_GC_INTERVAL",
        None,
        "Time between removals of NodeFeature and NodeResourceTopology objects whose Node does not exist. Zero: never remove objects.",
        parse=parse_sleep_interval,
        metavar="DURATION",
        shown="0s",
        heading="Node Feature Discovery",
        fixed=True,
    )

    operator_namespace: str | None = setting(
        "--operator-namespace OPERATOR_NAMESPACE",
        None,
        "Namespace of the DaemonSets of drivers, of NodeFeatureGroups, and of the Lease of the leader. Default: the namespace of the pod.",
        parse=_namespace,
        metavar="NAME",
        fixed=True,
    )
    driver_manager_image: str | None = setting(
        "--driver-manager-image DRIVER_MANAGER_IMAGE",
        None,
        "Image of the init container of driver pods, which contains gpu-driver-manager: the image of this program.",
        parse=optional_text,
        metavar="IMAGE",
    )
    driver_manager_pull_policy: Literal["Always", "IfNotPresent", "Never"] = setting(
        "--driver-manager-pull-policy DRIVER_MANAGER_PULL_POLICY",
        "IfNotPresent",
        "When the kubelet pulls --driver-manager-image.",
    )
    driver_pull_secrets: tuple[str, ...] = setting(
        "--driver-pull-secrets DRIVER_PULL_SECRETS",
        (),
        "Secrets in the namespace of driver pods with the credentials for --driver-manager-image.",
    )
    driver_service_account: str = setting(
        "--driver-service-account DRIVER_SERVICE_ACCOUNT",
        "gpu-driver",
        "Service account of driver pods.",
        metavar="NAME",
    )

    @property
    def images(self) -> OperatorImages:
        return OperatorImages(
            manager=self.driver_manager_image or "",
            account=self.driver_service_account,
            pull_policy=self.driver_manager_pull_policy,
            pull_secrets=self.driver_pull_secrets,
        )


def operator_settings(values: Mapping[str, Any]) -> OperatorSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    made = build(
        OperatorSettings, {**values, "operator_namespace": values["operator_namespace"] or find_pod_namespace()}
    )
    if made.operator_namespace is None:
        raise SettingsError(
            ["--operator-namespace: is missing. Set the namespace of the driver pods and of the Lease."]
        )
    if made.drivers and made.driver_manager_image is None:
        raise SettingsError(["--driver-manager-image: is missing. Set the image of this program."])
    return made

"""The spec of an NVIDIADriver object. Source: NVIDIA GPU Operator documentation, NVIDIA GPU Driver Custom Resource Definition.

A field that is unknown, or that this project does not support, has no effect, and is named in the status of the object. A value of a wrong
type makes the whole spec unusable: then the existing DaemonSets do not change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node_core.decode import Cursor
from node_core.domain.label_selector import parse_label_selector
from node_core.domain.labels import value_problem
from node_core.scheduling.objects import NodeAffinity
from node_core.schema import fields_of, item_type, struct_of, suggest, without_nulls

API_VERSION = "nvidia.com/v1alpha1"
KIND = "NVIDIADriver"
COLLECTION = f"/apis/{API_VERSION}/nvidiadrivers"

Text = Annotated[str, Meta(min_length=1)]
ImageTag = Annotated[
    str, Meta(pattern=r"^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})$", description="a version or a digest")
]
Seconds = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Percentage = Annotated[str, Meta(pattern=r"^(100|[1-9]?[0-9])%$", description="a number, or a percentage such as 25%")]


class _Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A section of the spec. A missing field is None, or empty."""


class EnvVar(_Section, frozen=True, kw_only=True):
    """An environment variable."""

    name: Text
    value: str = ""


class Probe(_Section, frozen=True, kw_only=True):
    """The times of a probe. Seconds, and numbers of checks."""

    initial_delay_seconds: Seconds | None = None
    timeout_seconds: Count | None = None
    period_seconds: Count | None = None
    success_threshold: Count | None = None
    failure_threshold: Count | None = None


class ImageSection(_Section, frozen=True, kw_only=True):
    """An image with its arguments and environment variables."""

    repository: str | None = None
    image: Text | None = None
    version: ImageTag | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: tuple[Text, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()


class ConfigName(_Section, frozen=True, kw_only=True):
    """The name of a ConfigMap in the namespace of gpu-operator."""

    name: str = ""


class WaitForCompletion(_Section, frozen=True, kw_only=True):
    """pod_selector: selects the pods to wait for; empty for none. timeout_seconds: 0 for ever."""

    pod_selector: str = ""
    timeout_seconds: Seconds = 0


class PodDeletion(_Section, frozen=True, kw_only=True):
    """The eviction of pods that use GPUs. timeout_seconds: 0 for ever. force: also pods without a controller."""

    force: bool = False
    timeout_seconds: Seconds = 300
    delete_empty_dir: bool = False


class Drain(_Section, frozen=True, kw_only=True):
    """The eviction of all pods of a Node. timeout_seconds: 0 for ever. pod_selector: empty for all pods."""

    enable: bool = False
    force: bool = False
    pod_selector: str = ""
    timeout_seconds: Seconds = 300
    delete_empty_dir: bool = False


class UpgradePolicy(_Section, frozen=True, kw_only=True):
    """How Nodes get a new version. max_parallel_upgrades: 0 for no limit. max_unavailable: Nodes, or a percentage of the Nodes."""

    auto_upgrade: bool = True
    max_parallel_upgrades: Seconds = 1
    max_unavailable: Seconds | Percentage = "25%"
    wait_for_completion: WaitForCompletion = WaitForCompletion()
    pod_deletion: PodDeletion = PodDeletion()
    drain: Drain = Drain()


class DriverSpec(_Section, frozen=True, kw_only=True):
    """The spec without the fields of UNSUPPORTED. tolerations, resources: as in the core API."""

    driver_type: Literal["gpu", "vgpu", "vgpu-host-manager"] = "gpu"
    version: ImageTag
    repository: str = "nvcr.io/nvidia"
    image: Text = "driver"
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[Text, ...] = ()
    kernel_module_type: Literal["auto", "open", "proprietary"] = "auto"
    use_open_kernel_modules: bool | None = None
    use_precompiled: bool = False
    startup_probe: Probe = Probe()
    liveness_probe: Probe | None = None
    readiness_probe: Probe = Probe()
    resources: dict[str, Any] = {}
    node_selector: dict[str, str] = {}
    node_affinity: NodeAffinity = NodeAffinity()
    env: tuple[EnvVar, ...] = ()
    args: tuple[str, ...] = ()
    secret_env: str = ""
    tolerations: tuple[dict[str, Any], ...] | None = None
    priority_class_name: str = "system-node-critical"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    manager: ImageSection = ImageSection()
    cert_config: ConfigName = ConfigName()
    repo_config: ConfigName = ConfigName()
    kernel_module_config: ConfigName = ConfigName()
    upgrade_policy: UpgradePolicy = UpgradePolicy()

    @property
    def module_type(self) -> str:
        """The value of KERNEL_MODULE_TYPE. useOpenKernelModules counts only without kernelModuleType."""
        if self.kernel_module_type == "auto" and self.use_open_kernel_modules is not None:
            return "open" if self.use_open_kernel_modules else "proprietary"
        return self.kernel_module_type


UNSUPPORTED = {
    "rdma": "GPUDirect RDMA is not supported",
    "gds": "GPUDirect Storage is not supported",
    "gdrcopy": "GDRCopy is not supported",
    "licensingConfig": "vGPUs are not supported",
    "virtualTopologyConfig": "vGPUs are not supported",
}
"""Field of the published API -> why the field has no effect."""
RESERVED_ENV = frozenset({"NODE_NAME", "OPERATOR_NAMESPACE", "DRIVER_CONFIG_DIGEST"})
"""Variables of a driver pod that users cannot set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """spec: None if the spec is not usable. problems: why, one sentence for each value. ignored: fields without effect, each with why."""

    spec: DriverSpec | None
    problems: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def decode_driver(driver: Mapping[str, Any]) -> Decoded:
    """Decodes the spec of an NVIDIADriver, whose name becomes the value of labels. Never raises."""
    if (problem := value_problem(driver["metadata"]["name"])) is not None:
        why = f"metadata.name: {problem}. Labels of Nodes contain the name: create the object with a shorter name"
        return Decoded(spec=None, problems=(why,))
    return decode_spec(driver.get("spec"))


def decode_spec(data: Any) -> Decoded:
    """Decodes the spec of an NVIDIADriver. Never raises: the data come from users."""
    if not isinstance(data, Mapping):
        return Decoded(spec=None, problems=("spec: is missing",))
    ignored = tuple(f"spec.{name}: {why}" for name, why in UNSUPPORTED.items() if _is_enabled(data.get(name)))
    known = {key: value for key, value in data.items() if key not in UNSUPPORTED}
    unknown: list[str] = []
    pruned = without_nulls(_without_unknown(known, DriverSpec, "spec", unknown), DriverSpec)
    cursor = Cursor(value=pruned, path="spec")
    cursor.check(DriverSpec)
    problems = list(cursor.problems)
    spec = None if problems else msgspec.convert(pruned, DriverSpec)
    if spec is not None and (selectors := tuple(_selector_problems(spec.upgrade_policy))):
        problems, spec = [*problems, *selectors], None
    if spec is not None and spec.driver_type != "gpu":
        problems.append(f"spec.driverType: {spec.driver_type} is not supported. Use gpu")
        spec = None
    return Decoded(spec=spec, problems=tuple(problems), ignored=(*ignored, *unknown, *_reserved(spec)))


def _reserved(spec: DriverSpec | None) -> Iterator[str]:
    for path, section in (("spec", spec), ("spec.manager", spec and spec.manager)):
        for index, each in enumerate(section.env if section else ()):
            if each.name in RESERVED_ENV:
                yield f"{path}.env[{index}]: gpu-operator sets {each.name}"


def _selector_problems(policy: UpgradePolicy) -> Iterator[str]:
    waits, drain = policy.wait_for_completion, policy.drain
    for section, text in (("waitForCompletion", waits.pod_selector), ("drain", drain.pod_selector)):
        try:
            parse_label_selector(text)
        except ValueError as error:
            yield f"spec.upgradePolicy.{section}.podSelector: {error}. Write for example app=training"


def _is_enabled(section: Any) -> bool:
    """True if an unsupported section asks for something: it is neither empty nor switched off."""
    return bool(section) and not (isinstance(section, Mapping) and section.get("enabled") is False)


def _without_unknown(data: Any, into: Any, path: str, unknown: list[str]) -> Any:
    """Returns the data without unknown fields, and adds a sentence for each of them to `unknown`."""
    struct, item = struct_of(into), item_type(into)
    if item is not None and isinstance(data, list):
        return [_without_unknown(each, item, f"{path}[{index}]", unknown) for index, each in enumerate(data)]
    if struct is None or not isinstance(data, Mapping):
        return data
    kinds = {each.encode_name: each.type for each in fields_of(struct)}
    unknown += _name_unknown(data, kinds, path)
    return {
        key: _without_unknown(value, kinds[key], f"{path}.{key}", unknown)
        for key, value in data.items()
        if key in kinds
    }


def _name_unknown(data: Mapping[Any, Any], kinds: Mapping[str, Any], path: str) -> Iterator[str]:
    for key in data:
        if key not in kinds:
            yield f"{path}.{str(key)[:80]}: unknown field{suggest(str(key)[:80], kinds)}"

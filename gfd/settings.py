"""The settings of gfd, in addition to the settings of every agent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_core.assembly import CLUSTER, Destination
from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.sharing import Sharing
from gpu_core.settings.nvidia_config import NvidiaConfig
from gpu_core.settings.nvidia_settings import DestinationFlags, GfdFlags
from node_core.errors import SettingsError
from node_core.runtime.command import ignored_option
from node_core.runtime.named_config import NAMED_CONFIG, NamedConfigOptions, parse_named_config
from node_core.runtime.setting import build
from node_core.runtime.settings import PublishSettings

OUTPUT_FILE = Path("/etc/kubernetes/node-feature-discovery/features.d/gfd")


@dataclass(frozen=True, slots=True, kw_only=True)
class GfdSettings(GfdFlags):
    """sharing, rules: from the config file. namespace: of the NodeFeature object; None for the namespace of the pod.

    named: the location of the configs from which a label of the Node selects one.
    """

    publish: Destination = "node"
    output_file: Path = OUTPUT_FILE
    namespace: str | None = None
    sharing: Sharing | None = None
    rules: DeviceRules = field(default_factory=DeviceRules)
    named: NamedConfigOptions | None = None


DESTINATION = (
    PublishSettings,
    DestinationFlags,
    ignored_option("--pod-name", "POD_NAME", "published labels belong to the Node and remain when the pod ends"),
    ignored_option("--kube-api-qps", "KUBE_API_QPS", "gfd writes only when a label has changed"),
    ignored_option("--kube-api-burst", "KUBE_API_BURST", "see --kube-api-qps"),
)
"""The settings classes that only the program gfd has. `gpunode run` always publishes to the Node."""
GFD = (GfdFlags, *NAMED_CONFIG)
"""The settings classes of gfd, as an own program and in `gpunode run`."""


def choose_destination(
    publish: Destination | None, use_node_feature_api: bool | None, output_file: Path
) -> Destination:
    """Returns the value of --publish; without it, the destination of upstream's flags, or the Node. PURE.

    With upstream's flags, an empty output file specifies standard output.
    """
    if publish is not None:
        return publish
    if use_node_feature_api is None:
        return "node"
    if use_node_feature_api:
        return "node-feature"
    return "stdout" if output_file == Path() else "file"


def selector_problems(settings: GfdSettings) -> Iterator[str]:
    """Yields why a label of the Node cannot select a config. PURE."""
    if settings.named is not None and settings.publish not in CLUSTER:
        flag = "--config-dir" if isinstance(settings.named.place, Path) else "--config-map"
        yield (
            f"{flag} selects a config by a label of the Node, which --publish {settings.publish} does not watch. "
            "Use --publish node or node-feature, or --config-file"
        )


def gfd_settings(values: Mapping[str, Any]) -> GfdSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    problems: list[str] = []
    config: NvidiaConfig = values["nvidia_config"] or NvidiaConfig()
    output_file = values.get("output_file", OUTPUT_FILE)
    settings = build(
        GfdSettings,
        values,
        publish=choose_destination(values.get("publish"), values.get("use_node_feature_api"), output_file),
        output_file=output_file,
        namespace=values.get("namespace"),
        sharing=config.sharing,
        rules=config.rules,
        named=parse_named_config(values, problems),
    )
    if problems := [*problems, *selector_problems(settings)]:
        raise SettingsError(problems)
    return settings

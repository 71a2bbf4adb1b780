"""The settings of nfd-lite-topology, in addition to the settings of every agent. Their names are those of nfd-topology-updater."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import click
import msgspec

from nfd_lite.topology.zones import ALL_NAMESPACES
from nfd_lite.upstream_flags import UPSTREAM_FLAGS
from node_core.decode import decode_struct
from node_core.kube.cluster import SERVICE_ACCOUNT
from node_core.kubelet.podresources import SOCKET
from node_core.runtime.config_file import config_option
from node_core.runtime.setting import build, optional_path, setting

CONFIG_FILE = Path("/etc/kubernetes/node-feature-discovery/nfd-topology-updater.conf")
STATE_DIR = Path("/var/lib/kubelet")
KUBELET_PORT = 10250


class TopologyFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """nfd-topology-updater.conf. exclude_list: name of a Node, or `*` for all Nodes -> resources that its zones do not contain."""

    exclude_list: dict[str, list[str]] = {}


def parse_uri(text: str) -> str:
    """Parses the URI of the kubelet's configuration, or an empty text. Raises ValueError, also for http: the request contains a token."""
    parts = urlsplit(text)
    is_file = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    is_endpoint = parts.scheme == "https" and bool(parts.hostname)
    if text and not (is_file or is_endpoint):
        raise ValueError(f"{text!r} is not a URI. Write file:///path, or https://address:10250/configz")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyFlags:
    """state_dir: None to follow no files. ca_file: None for no verification. node_address: the host of the default URI."""

    HEADING: ClassVar = "Zones of this Node"

    no_publish: bool = setting(
        "--no-publish NFD_TOPOLOGY_NO_PUBLISH", False, "Print the object when it changes, and write nothing."
    )
    oneshot: bool = setting("--oneshot NFD_TOPOLOGY_ONESHOT", False, "Publish the object once and exit.", fixed=True)
    namespace: str = setting(
        "--watch-namespace NFD_TOPOLOGY_WATCH_NAMESPACE",
        ALL_NAMESPACES,
        "Only pods of this namespace reduce what is available. *: the pods of all namespaces.",
        metavar="NAMESPACE",
    )
    has_fingerprint: bool = setting(
        "--pods-fingerprint NFD_TOPOLOGY_PODS_FINGERPRINT",
        True,
        "Publish the fingerprint of the pods of this Node, from which a scheduler knows that the object is up to date.",
    )
    kubelet_config_uri: str = setting(
        "--kubelet-config-uri NFD_TOPOLOGY_KUBELET_CONFIG_URI",
        "",
        "The kubelet's configuration: https://address:10250/configz, or file:///path. Default: the endpoint at --node-address, or"
        " without an address config.yaml in --kubelet-state-dir.",
        parse=parse_uri,
        metavar="URI",
        heading="Kubelet",
    )
    node_address: str = setting(
        "--node-address NODE_ADDRESS", "", "Address of this Node (status.hostIP in a pod).", heading="Kubelet"
    )
    token_file: Path = setting(
        "--api-auth-token-file NFD_TOPOLOGY_API_AUTH_TOKEN_FILE",
        SERVICE_ACCOUNT / "token",
        "Token for the kubelet's endpoint configz.",
        heading="Kubelet",
    )
    ca_file: Path | None = setting(
        "--kubelet-ca-file NFD_TOPOLOGY_KUBELET_CA_FILE",
        None,
        "Certificates of the authorities that sign the certificate of the kubelet. Default: the certificate is not verified.",
        parse=optional_path,
        metavar="FILE",
        heading="Kubelet",
    )
    socket: Path = setting(
        "--podresources-socket NFD_TOPOLOGY_PODRESOURCES_SOCKET",
        SOCKET,
        "Socket of the kubelet's pod-resources API.",
        heading="Kubelet",
    )
    state_dir: Path | None = setting(
        "--kubelet-state-dir NFD_TOPOLOGY_KUBELET_STATE_DIR",
        STATE_DIR,
        "Folder of the kubelet, whose state files and pod folders are followed in addition to the control groups of pods. Empty: follow no"
        " folder of the kubelet.",
        parse=optional_path,
        heading="Kubelet",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologySettings(TopologyFlags):
    """excluded: the resources that no zone contains."""

    excluded: frozenset[str] = field(default=frozenset())

    @property
    def config_uri(self) -> str:
        """The URI of the kubelet's configuration. Empty if it is unknown."""
        if self.kubelet_config_uri:
            return self.kubelet_config_uri
        if self.node_address:
            host = f"[{self.node_address}]" if ":" in self.node_address else self.node_address
            return f"https://{host}:{KUBELET_PORT}/configz"
        return "" if self.state_dir is None else f"file://{self.state_dir}/config.yaml"


def decode_topology_config(data: Any, source: str) -> tuple[TopologyFile, Mapping[str, Any], tuple[str, ...]]:
    """Decodes the content of a file; see config_file.Load. Raises SettingsError. source: the name of the file in problems."""
    return decode_struct(data, TopologyFile, source=source), {}, ()


TOPOLOGY: tuple[type | click.Option, ...] = (
    config_option("--config", name="topology_config", env=[], load=decode_topology_config, default=CONFIG_FILE),
    TopologyFlags,
    *UPSTREAM_FLAGS,
)
"""The command line of nfd-lite-topology."""


def topology_settings(values: Mapping[str, Any], node_name: str) -> TopologySettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    file = values["topology_config"] or TopologyFile()
    excluded = (name for node in ("*", node_name) for name in file.exclude_list.get(node, ()))
    return build(TopologySettings, values, excluded=frozenset(excluded))

"""The settings of every agent, and of the agents that publish labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from node_core.domain.duration import parse_sleep_interval
from node_core.domain.labels import node_name_problem
from node_core.errors import SettingsError
from node_core.runtime.config_watch import Fingerprints
from node_core.runtime.http_port import parse_address
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from node_core.runtime.setting import build, optional_path, setting

Common = TypeVar("Common", bound="CommonSettings")


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The PEM files for TLS."""

    certificate: Path
    key: Path


def _address(text: str) -> str:
    if text:
        parse_address(text)
    return text


def _node_name(text: str) -> str:
    if text and (problem := node_name_problem(text)):
        raise ValueError(problem)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings:
    """The settings of every agent. interval: seconds, None for never. lock_dir: the folder for `runtime.instance_lock`, None for no lock.

    address, tls: settings of the health server. tls is None for plain HTTP. metrics_auth: only clients that may `get` /metrics can read
    the metrics. config_files: the fingerprints of all config files, also of files that are missing. notes: one sentence for each setting
    that has no effect. changed: flag -> text of each setting that differs from its default. misspelt: one sentence for each environment
    variable that is probably misspelt.
    """

    HEADING: ClassVar = "Node and cluster"

    node_name: str = setting("--node-name NODE_NAME", "", "Name of this Node.", parse=_node_name, metavar="NAME")
    kubeconfig: str | None = setting(
        "--kubeconfig KUBECONFIG", None, "Path of a kubeconfig. Default in a pod: the cluster of the pod."
    )
    simulate: str | None = setting(
        "--simulate GPUNODE_SIMULATE",
        None,
        "Simulate GPUs from a scenario. Containers get no real GPU. The log, the condition GPUReady and the label"
        " nvidia.com/gpunode.simulated of the Node show the simulation.",
        metavar="NAME|FILE",
    )
    host_root: Path = setting(
        "--host-root HOST_ROOT", Path("/"), "Path at which the root directory of the host is mounted."
    )
    interval: float | None = setting(
        "--sleep-interval {agent}_SLEEP_INTERVAL core.sleepInterval flags.gfd.sleepInterval",
        60.0,
        "Time between two passes. A pass reads everything again, and writes what differs. Less than a second is one second; zero, or"
        " infinite, means never.",
        in_file=str | int | float,
        parse=parse_sleep_interval,
        metavar="DURATION",
        shown="60s",
        fixed=True,
    )
    address: str = setting(
        "--http-address HTTP_ADDRESS",
        "",
        "Serve /healthz, /readyz and /metrics at this address. Empty: serve nothing.",
        parse=_address,
        metavar="HOST:PORT",
        heading="Health port",
    )
    tls_certificate: Path | None = setting(
        "--tls-cert-file TLS_CERT_FILE",
        None,
        "TLS certificate for --http-address. Changed files are loaded again. Default: plain HTTP.",
        heading="Health port",
    )
    tls_key: Path | None = setting(
        "--tls-private-key-file TLS_PRIVATE_KEY_FILE",
        None,
        "Private key of the certificate in --tls-cert-file.",
        heading="Health port",
    )
    metrics_auth: bool = setting(
        "--metrics-auth METRICS_AUTH",
        False,
        "Serve /metrics only to clients with a token whose user may get /metrics in the cluster.",
        heading="Health port",
    )
    log_format: Literal["auto", "json", "console"] = setting(
        "--log-format LOG_FORMAT",
        "auto",
        "Format of the log. auto: console on a terminal, otherwise json.",
        any_case=True,
        heading="Log",
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "--log-level LOG_LEVEL",
        "info",
        "Minimum level of log entries. debug adds requests to the API server, discoveries and passes.",
        any_case=True,
        heading="Log",
    )
    lock_dir: Path | None = setting(
        "--lock-dir GPUNODE_LOCK_DIR",
        DEFAULT_DIRECTORY,
        "Folder of the lock file that prevents a second agent of the same kind on the Node. Empty: no lock.",
        parse=optional_path,
    )
    oneshot: bool = False
    config_files: Fingerprints = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    changed: Mapping[str, str] = field(default_factory=dict)
    misspelt: tuple[str, ...] = ()

    @property
    def tls(self) -> Tls | None:
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return Tls(certificate=self.tls_certificate, key=self.tls_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """Where an agent publishes labels. publish: None if the flag is not used."""

    HEADING: ClassVar = "Destination of the labels"

    publish: Literal["node", "node-feature", "file", "stdout"] | None = setting(
        "--publish {agent}_PUBLISH", None, "Destination of the labels. Default: node."
    )
    output_file: Path | None = setting(
        "--output-file --output -o {agent}_OUTPUT_FILE flags.gfd.outputFile",
        None,
        "File for --publish file.",
        parse=Path,
        fixed=True,
    )
    oneshot: bool = setting(
        "--oneshot {agent}_ONESHOT flags.gfd.oneshot", False, "Publish the labels once and exit.", fixed=True
    )


def common_settings(values: Mapping[str, Any], cls: type[Common]) -> Common:
    """Builds the common settings from the values of a command line. Raises SettingsError."""
    more = {name: values[name] for name in ("config_files", "notes", "changed", "misspelt")}
    made = build(cls, values, oneshot=values.get("oneshot", False), **more)
    if (made.tls_certificate is None) != (made.tls_key is None):
        raise SettingsError(["--tls-cert-file and --tls-private-key-file: set both or none"])
    if made.metrics_auth and made.tls is None:
        raise SettingsError(["--metrics-auth: needs --tls-cert-file: tokens must not be sent over plain HTTP"])
    return made

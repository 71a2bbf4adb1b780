"""What every agent is told, whatever it does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node_core.errors import SettingsError
from node_core.runtime.config_watch import Fingerprints
from node_core.runtime.flag_types import Infinite


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings:
    """What every agent takes. interval: seconds, None for never. lock_dir: where the files of `runtime.instance` lie, None for no lock.

    address, tls: of the health server, None for plain HTTP. metrics_auth: only those who may `get` /metrics read it.
    config_files: those that were read, or looked for where they may be missing.
    """

    node_name: str
    kubeconfig: str | None
    simulate: str | None
    host_root: Path
    oneshot: bool
    interval: float | None
    address: str
    log_format: str
    log_level: str
    lock_dir: Path | None
    tls: Tls | None = None
    metrics_auth: bool = False
    config_files: Fingerprints = field(default_factory=dict)


def common_settings(values: dict[str, Any]) -> CommonSettings:
    """Takes the common flags out of click's values. Raises SettingsError."""
    interval, lock_dir = values.pop("sleep_interval"), values.pop("lock_dir")
    return CommonSettings(
        node_name=values.pop("node_name"),
        kubeconfig=values.pop("kubeconfig"),
        simulate=values.pop("simulate"),
        host_root=values.pop("host_root"),
        oneshot=values.pop("oneshot", False),
        interval=None if isinstance(interval, Infinite) else interval,
        address=values.pop("http_address"),
        log_format=values.pop("log_format"),
        log_level=values.pop("log_level"),
        lock_dir=None if lock_dir == Path() else lock_dir,
        tls=_tls(values.pop("tls_cert_file"), values.pop("tls_private_key_file"), values["metrics_auth"]),
        metrics_auth=values.pop("metrics_auth"),
        config_files=values.pop("config_files", {}),
    )


def _tls(certificate: Path | None, key: Path | None, metrics_auth: bool) -> Tls | None:
    if certificate is not None and key is not None:
        return Tls(certificate=certificate, key=key)
    if certificate is not None or key is not None:
        raise SettingsError(["--tls-cert-file and --tls-private-key-file: one needs the other"])
    if metrics_auth:
        raise SettingsError(["--metrics-auth: needs --tls-cert-file: tokens do not travel in the clear"])
    return None

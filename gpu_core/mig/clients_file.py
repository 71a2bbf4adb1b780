"""The file of NVIDIA's MIG Manager that names the GPU clients of the host, version v1: systemd services that stop during a change. PURE.

Source: documentation of the MIG Manager, GPU clients. Unknown keys are errors.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node_core.decode import decode_struct

DEFAULT_SERVICES = (
    "nvsm*.service",
    "nv_peer_mem.service",
    "nvidia-dcgm.service",
    "dcgm.service",
    "dcgm-exporter.service",
)
"""The services of NVIDIA's default file, as patterns of systemctl."""

_Service = Annotated[str, Meta(pattern=r"^[A-Za-z0-9:_.\\@*?\[\]-]{1,255}$")]


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    version: Literal["v1"]
    systemd_services: list[_Service]


def decode_services(data: Any, *, source: str) -> tuple[str, ...]:
    """Decodes the content of a file. source: its name in problems. Raises SettingsError with all problems."""
    return tuple(dict.fromkeys(decode_struct(data, _File, source=source).systemd_services))

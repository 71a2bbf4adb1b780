"""Stops and starts services of the host through its systemctl. Source: systemctl(1)."""

from collections.abc import Callable, Sequence

import msgspec

SECONDS = 120.0
"""How long systemctl may wait for a service: systemd kills it after 90 s by default."""


class Systemd(msgspec.Struct, frozen=True, kw_only=True):
    """run: runs a command of the host, and returns its output; see host_command.run_on_host. It raises HostCommandError."""

    run: Callable[[Sequence[str]], str]

    def list_active(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Returns the active services whose names match one of the patterns of systemctl, for example `nvsm*.service`, sorted."""
        options = ("--type=service", "--state=active", "--plain", "--no-legend", "--no-pager", "--full")
        return parse_units(self.run(("systemctl", "list-units", *options, "--", *patterns))) if patterns else ()

    def stop(self, units: Sequence[str]) -> None:
        self.run(("systemctl", "stop", "--", *units))

    def start(self, unit: str) -> None:
        self.run(("systemctl", "start", "--", unit))

    def can_start(self, unit: str) -> bool:
        """Whether the service is installed, and not masked."""
        state = self.run(("systemctl", "show", "--property=LoadState", "--value", "--", unit)).strip()
        return state not in ("not-found", "masked")


def parse_units(output: str) -> tuple[str, ...]:
    """Returns the names of services in the first column of `systemctl list-units --plain`, sorted. PURE."""
    return tuple(
        sorted({name for line in output.splitlines() for name in line.split()[:1] if name.endswith(".service")})
    )

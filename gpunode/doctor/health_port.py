"""Reads /readyz and /healthz of an agent on this node."""

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

from device_plugin.agent import NAME as PLUGIN
from gpunode.doctor.check import Check, ok, problem
from node_core.runtime.http_port import parse_address

SECONDS = 5.0
MAX_BYTES = 1 << 20
EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104  # nosec B104 # compared, not listened on
LOG = 'read the log of the agent (event not_ready), and "Checks of /readyz" in docs/how-to/troubleshoot.md'


def check_health_port(address: str, certificate: Path | None, agent: str = PLUGIN) -> Iterator[Check]:
    """address, certificate: --http-address and --tls-cert-file of the agent.

    Yields a problem for each failing check of the agent, or one check if all succeed.
    """
    try:
        ready = _get(address, certificate, "/readyz")
        health = _get(address, certificate, "/healthz")
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        todo = "read the log of the agent: the event health_port_unavailable means that another program uses the port"
        yield problem("agent health", f"{agent} does not respond at {address}: {why}", todo)
        return
    if ready.splitlines()[-1:] not in (["ready"], ["not ready"]):
        todo = "check --http-address: another program uses the port"
        yield problem("agent health", f"the program at {address} is not {agent}: /readyz has another format", todo)
        return
    failing = failing_checks(ready)
    for line in failing:
        yield problem("agent health", line, LOG)
    stuck = [] if health.strip() == "ok" else health.splitlines()
    for line in stuck:
        yield problem("agent health", line, "restart the agent; the kubelet does so if the probe /healthz fails")
    if not failing and not stuck:
        yield ok("agent health", f"/readyz and /healthz at {address} report no problem")


def failing_checks(content: str) -> list[str]:
    """Parses the content of /readyz: `[-]check problem` for each failing check. PURE."""
    lines = [line.removeprefix("[-]").partition(" ") for line in content.splitlines() if line.startswith("[-]")]
    return [f"{name}: {why}" for name, _, why in lines]


def _get(address: str, certificate: Path | None, path: str) -> str:
    """certificate: the agent's own, which is the only one to trust; None for plain HTTP. Raises OSError or HTTPException."""
    host, port = parse_address(address)
    host = "localhost" if host in EVERY_ADDRESS else host
    if certificate is None:
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=_trust(certificate))
    try:
        connection.request("GET", path)
        return connection.getresponse().read(MAX_BYTES).decode(errors="replace")
    finally:
        connection.close()


def _trust(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False  # the address is of this node, and the certificate has the name of the Service
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context

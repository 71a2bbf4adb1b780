"""The bridge of the pods, and the NAT rules for the service address of the API server."""

from pathlib import Path

from tests.e2e.cluster.commands import run
from tests.e2e.cluster.layout import API_PORT, BRIDGE, BRIDGE_ADDRESS, POD_SUBNET, SERVICE_ADDRESS, SERVICE_SUBNET

TABLE = "gpunode-e2e"


def render_rules() -> str:
    """Renders rules for nft(8). There is no kube-proxy, and pods need only the Service of the API server."""
    to_api = f"ip daddr {SERVICE_ADDRESS} tcp dport 443 dnat to 127.0.0.1:{API_PORT}"
    return f"""table ip {TABLE} {{
  chain pods {{ type nat hook prerouting priority -100; {to_api}; }}
  chain host {{ type nat hook output priority -100; {to_api}; }}
}}
"""


def set_up_network() -> None:
    """Creates the bridge, a route for service addresses, and the NAT rules. `route_localnet` allows NAT from the bridge to loopback."""
    prefix = POD_SUBNET.rpartition("/")[2]
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{BRIDGE_ADDRESS}/{prefix}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    run("ip", "route", "add", SERVICE_SUBNET, "dev", BRIDGE)
    Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet").write_text("1")
    run("nft", "-f", "-", stdin=render_rules())


def tear_down_network() -> None:
    """Removes the bridge and the rules. Missing parts are not an error."""
    run("nft", "delete", "table", "ip", TABLE, check=False)
    run("ip", "link", "delete", BRIDGE, check=False)

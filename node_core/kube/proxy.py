"""Selects the proxy for a server. PURE. Source: the conventions of curl and Go for HTTPS_PROXY, ALL_PROXY and NO_PROXY."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult


def environment_proxy(server: SplitResult, environment: Mapping[str, str]) -> str | None:
    """Returns the proxy for this server from environment variables, or None for a direct connection."""
    proxy = _variable(environment, f"{server.scheme}_proxy") or _variable(environment, "all_proxy")
    return proxy if proxy and not is_direct(server, _variable(environment, "no_proxy")) else None


def _variable(environment: Mapping[str, str], name: str) -> str:
    """Returns a variable. Its lower-case name has precedence, also with an empty value."""
    return environment.get(name, environment.get(name.upper(), ""))


def is_direct(server: SplitResult, no_proxy: str) -> bool:
    """True if the server needs no proxy. no_proxy: domains, domains with ports, addresses and CIDRs, separated by commas; or `*`."""
    entries = (entry.strip().lower() for entry in no_proxy.split(","))
    return any(_matches(server, entry) for entry in entries if entry)


def _matches(server: SplitResult, entry: str) -> bool:
    host = (server.hostname or "").lower()
    domain = entry.lstrip(".")
    names = (host, server.netloc.lower())
    return entry == "*" or _is_within(host, entry) or any(f".{name}".endswith(f".{domain}") for name in names if domain)


def _is_within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False

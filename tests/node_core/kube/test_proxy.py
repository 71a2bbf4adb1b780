"""The proxy of a server, from the environment."""

from urllib.parse import urlsplit

import pytest

from node_core.kube.proxy import environment_proxy, is_direct

SERVER = urlsplit("https://api.example.com:6443")
ADDRESS = urlsplit("https://[fd00::1]:443")


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p"}, "http://p"),
        ({"HTTP_PROXY": "http://p"}, None),
        ({"ALL_PROXY": "http://a"}, "http://a"),
        ({"HTTPS_PROXY": "http://p", "ALL_PROXY": "http://a"}, "http://p"),
        ({"https_proxy": "http://l", "HTTPS_PROXY": "http://p"}, "http://l"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "example.com"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "*", "no_proxy": ""}, "http://p"),
    ],
)
def test_the_variable_of_the_scheme_and_lower_case_names_have_precedence(
    environment: dict[str, str], proxy: str | None
) -> None:
    assert environment_proxy(SERVER, environment) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("", False),
        (" , ", False),
        ("*", True),
        ("example.com", True),
        (".example.com", True),
        ("API.Example.com", True),
        ("api.example.com:6443", True),
        ("api.example.com:443", False),
        ("ample.com", False),
        ("other, example.com", True),
        ("10.0.0.0/8", False),
    ],
)
def test_no_proxy_covers_domains_with_their_subdomains(no_proxy: str, direct: bool) -> None:
    assert is_direct(SERVER, no_proxy) is direct


@pytest.mark.parametrize(
    ("no_proxy", "direct"), [("fd00::/16", True), ("fd00::1", True), ("fe80::/10", False), ("10.0.0.0/8", False)]
)
def test_no_proxy_covers_addresses_by_network(no_proxy: str, direct: bool) -> None:
    assert is_direct(ADDRESS, no_proxy) is direct

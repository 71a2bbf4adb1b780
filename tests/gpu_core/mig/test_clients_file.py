"""The file of NVIDIA's MIG Manager with services of the host."""

from typing import Any

import pytest

from gpu_core.mig.clients_file import decode_services
from node_core.errors import SettingsError


def test_the_services_are_read_in_their_order_without_duplicates() -> None:
    data = {"version": "v1", "systemd-services": ["b.service", "nvsm*.service", "b.service"]}
    assert decode_services(data, source="f") == ("b.service", "nvsm*.service")


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"version": "v2", "systemd-services": []},
        {"version": "v1", "systemd-services": "a"},
        {"version": "v1", "systemd-services": ["a b"]},
        {"version": "v1", "systemd-services": [""]},
        {"version": "v1", "systemd-services": [3]},
        {"version": "v1", "systemd-services": [], "more": 1},
    ],
)
def test_a_file_that_is_not_valid_is_an_error(data: Any) -> None:
    with pytest.raises(SettingsError):
        decode_services(data, source="f")

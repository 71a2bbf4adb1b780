"""tests/roots/capture.py: a capture has the same labels as the host."""

import pytest

from tests.nfd_lite.conftest import ROOTS, LayOut, parse_root
from tests.roots.capture import capture

CAPTURED = ("epyc-7451", "graviton2", "kvm-p100", "power9-v100", "xeon-4108-sriov", "xeon-l5640-vfs")


@pytest.mark.parametrize("name", CAPTURED)
def test_capturing_a_captured_host_has_the_same_result(name: str, lay_out: LayOut) -> None:
    lines = [line for line in (ROOTS / f"{name}.root").read_text().splitlines() if not line.startswith("#")]
    assert sorted(capture(lay_out(parse_root("\n".join(lines))).base)) == sorted(lines)


def test_no_serial_number_is_captured(lay_out: LayOut) -> None:
    dmi, net = "/sys/devices/virtual/dmi/id", "/sys/class/net/eth0"
    files = {f"{dmi}/product_serial": "S", f"{dmi}/product_uuid": "U", f"{net}/address": "02:00:00:00:00:01\n"}
    assert list(capture(lay_out({**files, f"{net}/mtu": "1500\n"}).base)) == [f"{net}/mtu = 1500\\n"]


def test_nothing_is_captured_of_an_empty_host(lay_out: LayOut) -> None:
    assert list(capture(lay_out({}).base)) == []

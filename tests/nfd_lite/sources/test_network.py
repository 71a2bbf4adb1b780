"""The network source."""

from tests.nfd_lite.sources.scans import LayOut, scan


def test_virtual_interfaces_never_make_sriov_labels(lay_out: LayOut) -> None:
    net = "/sys/class/net"
    files = {
        f"{net}/bond0/operstate": "up\n",
        f"{net}/eth0/device/sriov_totalvfs": "0\n",
        f"{net}/bonding_masters": "bond0\n",
    }
    features, labels = scan(lay_out(files))
    assert [device["name"] for device in features.instances["network.device"]] == ["eth0"]
    assert [device["name"] for device in features.instances["network.virtual"]] == ["bond0"]
    assert labels == {}

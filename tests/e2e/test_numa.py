"""The sysfs files of two fake NUMA nodes."""

from pathlib import Path

from tests.e2e.numa import write_nodes


def test_each_node_has_half_of_the_cpus_and_its_own_distance(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("Node 0 MemTotal:  1024 kB\n")
    folder = tmp_path / "node"
    write_nodes(folder, cpus=["cpu0", "cpu1", "cpu2"], memory=meminfo)
    assert [(folder / node / "cpulist").read_text() for node in ("node0", "node1")] == ["0,2\n", "1\n"]
    assert [(folder / node / "distance").read_text() for node in ("node0", "node1")] == ["10 20\n", "20 10\n"]
    assert (folder / "node1" / "meminfo").read_text() == "Node 1 MemTotal:  1024 kB\n"
    assert (folder / "node1" / "cpu1").readlink() == Path("/sys/devices/system/cpu/cpu1")
    assert (folder / "online").read_text() == "0-1\n"

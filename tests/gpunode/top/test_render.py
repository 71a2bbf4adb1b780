"""The lines of the screen."""

from msgspec.structs import replace

from gpunode.output.terminal import Terminal
from gpunode.top.render import render_summary, render_uses
from gpunode.top.use import DeviceUse

BUSY = DeviceUse(
    node="",
    device="GPU 0",
    model="NVIDIA H100",
    utilization=93,
    memory_used_mib=61440,
    memory_total_mib=81920,
    power=612.4,
    temperature=86,
    pods=("team/a", "team/b\x1b[2J"),
)
INSTANCE = DeviceUse(node="", device="GPU 1 GI 9", model="NVIDIA H100", profile="1g.10gb", memory_used_mib=512)
LOST = DeviceUse(node="", device="GPU 2", model="NVIDIA H100", problem="GPU_IS_LOST")


def test_all_values() -> None:
    assert render_uses([BUSY, INSTANCE, LOST], Terminal()) == [
        "DEVICE       MODEL         UTIL   LOAD         MEMORY          POWER   TEMP   PODS",
        "GPU 0        NVIDIA H100   93 %   #########.   60.0/80.0 GiB   612 W   86 C   team/a, team/b?[2J",
        "GPU 1 GI 9   1g.10gb       -      -            0.5 GiB         -       -      -",
        "GPU 2        NVIDIA H100   -      -            -               -       -      -",
        "this node: GPU 2: GPU_IS_LOST",
    ]


def test_a_terminal_of_40_columns_has_the_pods_below_the_table() -> None:
    lines = render_uses([BUSY, INSTANCE, replace(BUSY, device="GPU 3", pods=("team/a",))], Terminal(width=40))
    assert lines[1] == "GPU 0        93 %   60.0/80.0 GiB"
    assert lines[-2:] == ["team/a: GPU 0, GPU 3", "team/b?[2J: GPU 0"]
    assert all(len(line) <= 40 for line in lines)


def test_a_narrow_terminal_has_the_nodes_of_the_devices() -> None:
    lines = render_uses([replace(BUSY, node="node-with-a-name")], Terminal(width=40))
    assert lines == [
        "NODE               DEVICE   UTIL",
        "node-with-a-name   GPU 0    93 %",
        "team/a: node-with-a-name: GPU 0",
        "team/b?[2J: node-with-a-name: GPU 0",
    ]


def test_devices_of_other_nodes_have_the_name_of_their_node() -> None:
    use = DeviceUse(node="n1", device="GPU 0", model="T4")
    assert render_uses([use], Terminal())[1].split()[:3] == ["n1", "GPU", "0"]


def test_high_values_are_marked() -> None:
    line = render_uses([BUSY], Terminal(has_colors=True))[1]
    assert "\x1b[33m93 %\x1b[0m" in line
    assert "\x1b[31m86 C\x1b[0m" in line


def test_the_summary_adds_up_gpus_without_their_instances() -> None:
    summary = render_summary([BUSY, INSTANCE, LOST])
    assert summary == "2 GPUs, 1 GPU instance: mean utilization 93 %, memory 60.0 of 80.0 GiB, power 0.6 kW"
    assert render_summary([LOST]) == "1 GPU"

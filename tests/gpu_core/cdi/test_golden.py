"""Complete specifications of complete nodes, compared with golden files."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import render_spec
from gpu_core.domain.cdi_schema import problems_of
from tests.gpu_core.cdi.conftest import CTK, LoadNode

HOSTS: dict[str, dict[str, str]] = {
    "debian": {},
    "rhel": {},
    "gke-cos": {},
    "talos": {},
    "driver-container": {"driver": "/run/nvidia/driver"},
    "wsl": {},
    "tegra-l4t": {},
}
"""Captured driver root -> the settings of the plugin for it."""


def render(plan: CdiPlan) -> str:
    specs = {name: render_spec(spec) for name, spec in plan.specs.items()}
    return to_lines({"notes": plan.notes, "names": plan.names, "specs": specs}) + "\n"


def to_lines(value: Any, indent: str = "") -> str:
    """Renders JSON with one line for each device node, mount and hook."""
    line = json.dumps(value)
    if not isinstance(value, dict | list | tuple) or len(line) < 250:
        return line
    pairs = value.items() if isinstance(value, dict) else [("", each) for each in value]
    named = [(f"{json.dumps(key)}: " if key else "", each) for key, each in pairs]
    inner = ",\n".join(f"{indent} {name}{to_lines(each, indent + ' ')}" for name, each in named)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}\n{indent}{closing}"


@pytest.mark.golden
@pytest.mark.parametrize("hooks", [True, False], ids=["hooks", "no-hooks"])
@pytest.mark.parametrize("name", HOSTS)
def test_specifications_of_a_whole_node_equal_their_golden_files(
    name: str, hooks: bool, load_node: LoadNode, golden: Callable[[str, str], None]
) -> None:
    node = load_node(name, **HOSTS[name]).with_options(hook_path=CTK if hooks else None)
    plan = node.plan()
    assert [problem for spec in plan.specs.values() for problem in problems_of(render_spec(spec))] == []
    golden(f"cdi/{name}-{'hooks' if hooks else 'no-hooks'}.json", render(plan))


@pytest.mark.golden
def test_specifications_of_optional_devices_equal_their_golden_files(
    load_node: LoadNode, golden: Callable[[str, str], None]
) -> None:
    node = load_node("rhel").with_options(
        imex_channels=(0, 7), gdrcopy=True, gds=True, mofed=True, id_strategy="index", hook_path="/opt/nvidia-cdi-hook"
    )
    plan = node.plan()
    assert [problem for spec in plan.specs.values() for problem in problems_of(render_spec(spec))] == []
    golden("cdi/rhel-everything.json", render(plan))

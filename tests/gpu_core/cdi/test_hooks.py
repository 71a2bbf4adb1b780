"""The hooks of NVIDIA's container toolkit."""

import pytest

from gpu_core.cdi.hook_program import (
    COMPAT,
    HOST_CUDA,
    HOST_DRIVER,
    LDCACHE,
    LINKS,
    NO_NODES,
    OLDEST,
    PROFILE,
    WORDS,
)
from tests.gpu_core.cdi.conftest import CTK, LoadNode
from tests.gpu_core.cdi.specs import gpu_spec, hooks_of


def test_hooks_are_in_the_order_of_nvidias_specifications(load_node: LoadNode) -> None:
    node = load_node("k3s")
    assert hooks_of(gpu_spec(node.with_options(hook_path=CTK).plan())) == [LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE]
    standalone = gpu_spec(node.with_options(hook_path="/opt/nvidia-cdi-hook").plan()).edits.hooks
    assert [hook.args[:2] for hook in standalone][1:2] == [("nvidia-cdi-hook", COMPAT)]
    assert gpu_spec(node.plan()).edits.hooks == ()


@pytest.mark.parametrize("disabled", [LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE, "all"])
def test_a_hook_can_be_disabled(disabled: str, load_node: LoadNode) -> None:
    plan = load_node("k3s").with_options(hook_path=CTK, disabled_hooks={disabled}).plan()
    global_cause = [LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE]
    assert hooks_of(gpu_spec(plan)) == [name for name in global_cause if disabled not in (name, "all")]
    notes = [note for note in plan.notes if "because they are disabled" in note]
    assert len(notes) == (0 if disabled == LINKS else 1)


@pytest.mark.parametrize("path", ["/opt/nvidia-ctk.real", "/opt/.nvidia-ctk-wrapped", "/opt/nvidia-ctk-1.17"])
def test_nvidia_ctk_under_another_name_is_called_with_its_subcommand(path: str, load_node: LoadNode) -> None:
    hooks = gpu_spec(load_node("k3s").with_options(hook_path=path).plan()).edits.hooks
    assert {hook.args[:2] for hook in hooks} == {(path.rpartition("/")[2], "hook")}


def test_hooks_that_the_program_does_not_have_are_omitted_and_reported(load_node: LoadNode) -> None:
    node = load_node("k3s").with_options(hook_path=CTK, hook_words=frozenset({LINKS, LDCACHE, COMPAT, HOST_DRIVER}))
    plan = node.plan()
    assert hooks_of(gpu_spec(plan)) == [LINKS, COMPAT, LDCACHE]
    (note,) = [note for note in plan.notes if "omit some hooks" in note]
    assert f"because {CTK} does not have them" in note
    assert NO_NODES in note
    assert PROFILE in note
    assert COMPAT not in note


def test_hooks_that_are_disabled_and_hooks_that_are_missing_are_reported_separately(load_node: LoadNode) -> None:
    node = load_node("k3s").with_options(hook_path=CTK, hook_words=WORDS - {PROFILE}, disabled_hooks={COMPAT})
    notes = [note for note in node.plan().notes if "omit some hooks" in note]
    assert [(COMPAT in note, PROFILE in note) for note in notes] == [(True, False), (False, True)]


def test_a_hook_whose_flag_the_program_does_not_have_is_omitted_and_reported(load_node: LoadNode) -> None:
    node = load_node("tegra-l4t").with_options(hook_path=CTK)
    assert COMPAT in hooks_of(gpu_spec(node.plan()))
    plan = node.with_options(hook_words=WORDS - {HOST_CUDA}).plan()
    assert COMPAT not in hooks_of(gpu_spec(plan))
    assert any(f"{CTK} does not have them" in note and COMPAT in note for note in plan.notes)


def test_the_reason_for_assumed_hooks_is_reported(load_node: LoadNode) -> None:
    node = load_node("k3s").with_options(hook_path=CTK, hook_words=OLDEST, hook_reason="/x is not mounted")
    plan = node.plan()
    assert hooks_of(gpu_spec(plan)) == [LINKS, LDCACHE]
    assert any("because /x is not mounted: " in note for note in plan.notes)

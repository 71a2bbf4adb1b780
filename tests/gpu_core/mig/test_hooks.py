"""mig-parted's hooks file."""

import pytest
import yaml

from gpu_core.mig.hooks import Hook, HookPoint, decode_hooks
from node_core.errors import SettingsError

TEXT = """
version: v1
hooks:
  apply-start:
    - workdir: /etc/nvidia-mig-manager
      command: /bin/bash
      args: ["-x", "-c", "source hooks.sh; apply-start"]
      envs: {A: b}
  apply-exit:
    - command: sync
"""


def test_the_hooks_of_each_point_are_read_in_order() -> None:
    assert decode_hooks(yaml.safe_load(TEXT), source="f") == {
        HookPoint.APPLY_START: (
            Hook(
                workdir="/etc/nvidia-mig-manager",
                command="/bin/bash",
                args=("-x", "-c", "source hooks.sh; apply-start"),
                envs={"A": "b"},
            ),
        ),
        HookPoint.APPLY_EXIT: (Hook(command="sync"),),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{version: v1}", "f: hooks: is missing"),
        ("{version: v1, hooks: {pre-apply: []}}", "f: hooks.pre-apply: unknown key (did you mean pre-apply-mode?)"),
        ("{version: v1, hooks: {apply-exit: [{args: []}]}}", "f: hooks.apply-exit[0].command: is missing"),
        ("{version: v1, hooks: {apply-exit: [{command: ''}]}}", "f: hooks.apply-exit[0].command: must not be empty"),
        (
            "{version: v1, hooks: {apply-exit: [{command: a, envs: {A: 1}}]}}",
            "f: hooks.apply-exit[0].envs.A: must be text, found the number 1. Put the value in quotes",
        ),
    ],
)
def test_a_problem_has_a_path(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        decode_hooks(yaml.safe_load(text), source="f")
    assert problem in error.value.problems


def test_a_file_without_hooks_is_valid() -> None:
    assert decode_hooks({"version": "v1", "hooks": {}}, source="f") == {}

"""The keys of labels in completions."""

import click
import pytest

from gpunode.completion.label_keys import complete_label_keys


@pytest.mark.parametrize(
    ("word", "keys"),
    [
        ("gpu.comp", ["gpu.compute.major", "gpu.compute.minor"]),
        ("nvidia.com/gpu.comp", ["nvidia.com/gpu.compute.major", "nvidia.com/gpu.compute.minor"]),
        ("memory-nu", ["memory-numa"]),
        ("feature.node.kubernetes.io/memory-nu", ["feature.node.kubernetes.io/memory-numa"]),
        ("nothing", []),
    ],
)
def test_declared_keys_are_completed_with_and_without_prefix(word: str, keys: list[str]) -> None:
    context = click.Context(click.Command("labels"))
    assert [each.value for each in complete_label_keys(context, click.Argument(["key"]), word)] == keys

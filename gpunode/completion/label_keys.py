"""Completes the keys of labels that the agents declare."""

from typing import TYPE_CHECKING

from click import Context, Parameter

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_label_keys(_: Context, __: Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Returns the keys of declared labels that begin with the word. A word without a prefix completes names without a prefix."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - agents do not complete

    from gpunode.labels.published import list_declared_keys  # noqa: PLC0415

    keys = list_declared_keys()
    names = keys if "/" in incomplete else [*(each.rpartition("/")[2] for each in keys), *keys]
    return [CompletionItem(each) for each in dict.fromkeys(names) if each.startswith(incomplete)]

"""Undoes the changes of files. What others have changed since stays."""

from gpu_toolkit.host import Host
from gpu_toolkit.journal import Change, ChangedFile
from gpu_toolkit.toml_edit import parse_toml, restore_values


def restore_files(host: Host, change: Change) -> None:
    """Restores every file byte for byte, unless others have changed it: then only the values of the change go. Idempotent.

    Raises RuntimeConfigError if a file cannot be written, or is not TOML any more.
    """
    for each in change.files:
        host.remove_unfinished(each.path)
        _restore(host, each)
    for folder in reversed(change.folders):
        host.remove_folder(folder)


def _restore(host: Host, file: ChangedFile) -> None:
    now = host.read(file.path)
    if now in (None, file.before):
        return
    content = file.before if now == file.after else _without_ours(now or b"", file)
    if content is None:
        host.remove(file.path)
    else:
        host.write(file.path, content)


def _without_ours(content: bytes, file: ChangedFile) -> bytes | None:
    """Returns the content that others wrote; None for a new file in which nothing else is left."""
    left = content
    for each in reversed(file.tables):
        left = restore_values(left, file.before, file.path, each.path, each.values)
    is_ours = file.before is None and not parse_toml(left, file.path).keys() - {"version"}
    return None if is_ours else left

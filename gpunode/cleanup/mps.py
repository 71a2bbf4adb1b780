"""Stops MPS daemons that outlived the device plugin, and restores compute modes that a killed plugin changed."""

from threading import Event

from gpu_core.mps.apply import MpsTools
from gpu_core.mps.daemon import MpsDaemon
from gpu_core.mps.state import discover_folders
from node_core.errors import NodeError

TIMEOUT_SECONDS = 60.0
"""nvidia-smi may take 30 seconds, and a daemon with clients longer."""


def stop_mps_daemons(tools: MpsTools, *, is_dry_run: bool = False) -> bool:
    """Stops the daemons that have a state file of the device plugin. Raises NodeError if a daemon or a compute mode remains."""
    if is_dry_run:
        return any(discover_folders(tools.root))
    changed = Event()
    daemons = {each: MpsDaemon(each, None, tools, changed.set) for each in discover_folders(tools.root)}
    for daemon in daemons.values():
        daemon.start()
    while any(_is_busy(each) for each in daemons.values()) and changed.wait(TIMEOUT_SECONDS):
        changed.clear()
    problems = [
        f"{resource}: {daemon.problem or 'the MPS daemon does not end'}"
        for resource, daemon in daemons.items()
        if not daemon.done.is_set()
    ]
    for daemon in daemons.values():
        daemon.stop()
    if problems:
        raise NodeError("; ".join(problems))
    return bool(daemons)


def _is_busy(daemon: MpsDaemon) -> bool:
    return daemon.problem is None and not daemon.done.is_set()

"""Renders layouts, plans and configs as tables. PURE."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpu_core.mig.config import ConfigEntry, MigConfigs
from gpu_core.mig.layout import count_addable, count_devices, list_free_slices
from gpu_core.mig.model import MigGpu, Placement
from gpu_core.mig.select import is_selected
from gpunode.mig.changes import Action, Change, device_names
from gpunode.mig.read import Users
from gpunode.output.table import Column
from gpunode.output.terminal import Cell, Styled

LAYOUTS = (
    Column(header="GPU"),
    Column(header="MODEL", priority=2),
    Column(header="MIG"),
    Column(header="DEVICES"),
    Column(header="FREE SLICES", priority=3),
    Column(header="ROOM FOR", priority=1),
    Column(header="UUID", is_wide=True),
)
DEVICES = (
    Column(header="GPU"),
    Column(header="DEVICE"),
    Column(header="SLICES", priority=2),
    Column(header="USED BY"),
    Column(header="UUID", priority=1),
)
CHANGES = (
    Column(header="GPU"),
    Column(header="ACTION"),
    Column(header="DEVICE"),
    Column(header="SLICES", priority=1),
    Column(header="USED BY"),
    Column(header="UUID", is_wide=True),
)
CONFIGS = (Column(header="CONFIG"), Column(header="GPUS"), Column(header="DEVICES OF EACH GPU"))
_STYLES = {Action.DESTROY: "red", Action.CREATE: "green", Action.MIG_ON: "yellow", Action.MIG_OFF: "yellow"}


def layout_rows(gpus: Iterable[MigGpu]) -> Iterator[Sequence[Cell]]:
    """Yields a row of LAYOUTS for each GPU. The room is for each profile alone."""
    for gpu in gpus:
        free = render_slices(list_free_slices(gpu)) or "none"
        room = " or ".join(f"{count}x {name}" for name, count in count_addable(gpu).items()) or "nothing"
        layout = (render_counts(count_devices(gpu)) or "none", free, room) if gpu.is_enabled else ("", "", "")
        yield str(gpu.index), gpu.model, describe_mode(gpu), *layout, gpu.uuid


def describe_mode(gpu: MigGpu) -> str:
    mode = "enabled" if gpu.is_enabled else "disabled"
    pending = "enabled" if gpu.is_pending else "disabled"
    return mode if mode == pending else f"{mode} ({pending} after a reset)"


def device_rows(gpus: Iterable[MigGpu], users: Users) -> Iterator[Sequence[Cell]]:
    """Yields a row of DEVICES for each MIG device."""
    for gpu in gpus:
        names = device_names(gpu)
        for instance in sorted(gpu.instances, key=lambda each: each.placement):
            for each in instance.compute:
                name, uuid = names.get((instance.profile, each.profile), "unknown"), each.uuid or ""
                pods = ", ".join(users.get(uuid, ()))
                yield str(gpu.index), name, render_placement(instance.placement), pods, uuid


def change_rows(changes: Iterable[Change]) -> Iterator[Sequence[Cell]]:
    """Yields a row of CHANGES for each device that changes, and for each mode."""
    for change in changes:
        slices = "" if change.placement is None else render_placement(change.placement)
        yield str(change.gpu.index), _action(change), change.device, slices, ", ".join(change.users), change.uuid or ""


def change_summary_rows(changes: Iterable[Change]) -> Iterator[Sequence[Cell]]:
    """Yields rows of CHANGES in which devices of one name and GPUs with equal changes are together."""
    of_gpus: dict[int, list[Change]] = {}
    for change in changes:
        of_gpus.setdefault(change.gpu.index, []).append(change)
    indexes: dict[tuple[tuple[Cell, ...], ...], list[int]] = {}
    for index, each in of_gpus.items():
        indexes.setdefault(tuple(_summarize_gpu(each)), []).append(index)
    for rows, equal in indexes.items():
        yield from ((render_slices(equal), *row, "") for row in rows)


def _summarize_gpu(changes: Iterable[Change]) -> Iterator[tuple[Cell, ...]]:
    groups: dict[tuple[Action, str, tuple[str, ...]], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.action, change.device, change.users), []).append(change)
    for (_, device, users), same in groups.items():
        places = dict.fromkeys(render_placement(each.placement) for each in same if each.placement)
        count = f"{len(same)}x {device}" if device else ""
        yield _action(same[0]), count, ", ".join(places), ", ".join(users)


def _action(change: Change) -> Cell:
    return Styled(change.action, _STYLES.get(change.action, "bright_black"))


def summarize(changes: Sequence[Change], gpus: int) -> str:
    """Returns `2 of 8 GPUs change: 1 MIG device is destroyed, 3 are created, and 4 stay.` gpus: number of the selected GPUs."""
    counts = Counter(change.action for change in changes if change.device)
    changing = {change.gpu.uuid for change in changes if change.action is not Action.RETAIN}
    if not changing:
        return f"The layouts of {_count(gpus, 'GPU')} are the requested ones."
    return (
        f"{len(changing)} of {_count(gpus, 'GPU')} change: {_count(counts[Action.DESTROY], 'MIG device')} to destroy,"
        f" {counts[Action.CREATE]} to create, and {counts[Action.RETAIN]} to retain."
    )


def describe_leaving(changes: Iterable[Change]) -> Iterator[str]:
    """Yields a sentence for each device that must be free before the change, and is in use."""
    for change in changes:
        if change.users and change.action in (Action.DESTROY, Action.MIG_ON, Action.MIG_OFF):
            device = f"{change.device} of {change.gpu.name}" if change.device else change.gpu.name
            yield f"{device} is in use by {', '.join(change.users)}."


def config_rows(configs: MigConfigs, gpus: Sequence[MigGpu]) -> Iterator[Sequence[Cell]]:
    """Yields a row of CONFIGS for each entry that selects a GPU of this node."""
    for name, entries in configs.items():
        for entry in entries:
            indexes = [gpu.index for gpu in gpus if is_selected(entry, gpu)]
            if indexes:
                yield name, render_slices(indexes), render_entry(entry)


def render_entry(entry: ConfigEntry) -> str:
    if not entry.is_enabled:
        return "MIG disabled"
    return render_counts(entry.mig_devices) or "MIG enabled, no devices"


def render_counts(devices: Mapping[str, int]) -> str:
    return ", ".join(f"{count}x {name}" for name, count in devices.items() if count)


def render_placement(placement: Placement) -> str:
    return render_slices(sorted(placement.slices))


def render_slices(numbers: Sequence[int]) -> str:
    """Returns `0-3,6` for sorted numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

"""The faults of `make faults`. Each function makes its fault `count` times on a Node of its own, and returns the losses."""

import json
import resource
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.altered import CLOCK, KILL_AT, RATE
from benchmarks.faults.site import GPUS, Site, open_site
from benchmarks.faults.table import Row, count_xids

XID_HARMLESS, XID_FATAL = 13, 79
XIDS_AT = 25.0
"""Seconds after the first use of NVML, so that the agents listen."""
BROKEN_GPU = GPUS - 1
SOCKETS = 50
"""Each which registration follows a deleted socket. The plugin delays registrations whose sockets are deleted at once."""
HOUR_RATE, MINUTE = 60.0, 60.0
DAY = 86400.0
JUMPS = (3600.0, -3600.0, DAY, -DAY, 30 * DAY, -30 * DAY, 365 * DAY, -365 * DAY, -20000 * DAY, 20000 * DAY)
"""Errors of the wall clock in seconds, one after the other."""
LABELS_EACH = 5
"""After how many occurrences another client changes labels. The agents restore labels that change often after increasing delays."""
MOST_WRITES = 500
LOST_LINES = "log_lines_lost"
"""The event of the log after the disk was full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """run: makes the fault `count` times, or `quick` times, and returns the losses."""

    run: Callable[[int], Row]
    count: int
    quick: int


def restart_kubelet(count: int) -> Row:
    """Each time, pods hold GPUs and one pod starts."""
    with open_site() as site:
        for _ in range(count):
            site.restart_kubelet()
            site.use()
            site.check_allocations()
            site.check_labels()
        return site.finish("kubelet restart", count)


def register_again(count: int) -> Row:
    """Registrations one after the other. Most are after a new start of the kubelet, and some after the plugin has lost its socket."""
    with open_site() as site:
        for number in range(count):
            if number % SOCKETS == SOCKETS - 1:
                before = site.registrations
                find_socket(site).unlink()
                site.wait_for_devices(before)
            else:
                site.restart_kubelet()
            site.use()
            site.check_allocations()
        return site.finish("registration", count, **{"of them after a deleted socket": count // SOCKETS})


def find_socket(site: Site) -> Path:
    return next(path for path in site.kubelet.directory.glob("*.sock") if path != site.kubelet.socket)


def send_xids(count: int) -> Row:
    """Sends Xids of applications in a second, and one Xid of a broken GPU in the middle of them."""
    each = count // GPUS
    storm = [
        {"at": XIDS_AT, "gpu": gpu, "kind": "xid", "code": XID_HARMLESS, "times": each, "per_second": each}
        for gpu in range(GPUS)
    ]
    broken = {"at": XIDS_AT + 0.5, "gpu": BROKEN_GPU, "kind": "xid", "code": XID_FATAL}
    with open_site(*storm, broken) as site:
        counted = 0

        def is_counted() -> bool:
            nonlocal counted
            counted = count_xids(site.metrics(), XID_HARMLESS)
            time.sleep(0.1)
            return counted == each * GPUS and site.count_healthy() == GPUS - 1

        try:
            site.wait(is_counted)
        except SystemExit as error:
            site.problems.append(f"{counted} of {each * GPUS} Xids were counted. {error}")
        site.find_failed()
        return site.finish(
            "Xid within a second", count, **{"Xids counted": counted, "broken GPUs found": len(site.failed)}
        )


def stop_api_server(count: int) -> Row:
    """An outage of `count` minutes by the clock of the agents, during which labels change, the kubelet restarts and pods start."""
    with open_site() as site:
        restart_agents(site, {RATE: str(HOUR_RATE)})
        site.wait(site.is_recovered)
        site.begin_count()
        site.server.stop()
        began = time.monotonic()
        site.change_labels()
        for minute in range(count):
            if minute % 10 == 5:
                site.restart_kubelet()
            site.use()
            site.check_allocations()
            time.sleep(max(0.0, began + (minute + 1) * MINUTE / HOUR_RATE - time.monotonic()))
        site.server.start()
        return site.finish("minute without an API server", count)


def kill_at_writes(every: int) -> Row:
    """Kills the agents before a write: the first one, then after `every` more, until they reach their goal without the write.

    Before each start, another client changes labels and the CDI file, and the file with the health of the GPUs is removed, so that the
    agents write all of them again. One GPU reports an Xid each second.
    """
    fault = {"at": 1.0, "gpu": BROKEN_GPU, "kind": "xid", "code": XID_FATAL, "times": 3600, "per_second": 1}
    with open_site(fault, healthy=GPUS - 1) as site:
        site.wait(site.state_file.exists)
        kills, spec = 0, site.spec.read_text()
        for number in range(1, MOST_WRITES, every):
            site.end()
            site.change_labels()
            site.touch_spec()
            site.state_file.unlink(missing_ok=True)
            site.start({KILL_AT: str(number)})
            if site.wait(lambda: is_complete(site, spec), may_end=True):
                break
            kills += 1
            if site.process.returncode != -signal.SIGKILL:
                site.problems.append(f"the agents ended with status {site.process.returncode} at the write {number}")
            check_files(site)
            site.check_labels()
        restart_agents(site)  # without a kill at a later write, which could meet the pod that starts at the end
        return site.finish("SIGKILL at a write", kills)


def restart_agents(site: Site, variables: Mapping[str, str] | None = None) -> None:
    site.end()
    before = site.registrations
    site.start(variables)
    site.wait_for_devices(before)


def is_complete(site: Site, spec: str) -> bool:
    """Whether agents have written all that was changed. spec: the CDI file."""
    return site.state_file.exists() and site.spec.read_text() == spec and site.is_recovered()


def check_files(site: Site) -> None:
    """The files of killed agents are complete: containers of the pods that hold GPUs start with them."""
    if len(site.spec_devices()) < GPUS:
        site.lost_allocations += len(site.held)
        site.problems.append("the CDI file is not complete")
    if site.state_file.exists() and not is_json(site.state_file.read_text()):
        site.problems.append("the file with the health of the GPUs is not complete")


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def fill_disk(count: int) -> Row:
    """The kubelet, labels, Xids and the text of the CDI file change while the disk is full. At the end the agents start there."""
    fault = {"at": 1.0, "gpu": BROKEN_GPU, "kind": "xid", "code": XID_FATAL, "times": 3600, "per_second": 1}
    with open_site(fault, healthy=GPUS - 1) as site:
        site.wait(site.state_file.exists)
        site.limit_files(0)
        site.touch_spec()
        for number in range(count):
            change_surroundings(site, number)
        check_files(site)
        site.end()
        before = site.registrations
        site.start(is_disk_full=True)
        site.wait_for_devices(before)
        site.use()
        check_files(site)
        site.limit_files(resource.RLIM_INFINITY)
        site.restart_kubelet()  # the agents write to their log
        site.wait(lambda: LOST_LINES in site.log.read_text())
        return site.finish("change while the disk is full", count)


def change_clock(count: int) -> Row:
    """Sets the wall clock of the agents forward and back. Then the kubelet restarts, a pod starts, and labels change."""
    with open_site() as site:
        clock = site.folder / "clock"
        set_clock(clock, 0.0)
        restart_agents(site, {CLOCK: str(clock)})
        site.begin_count()
        for number in range(count):
            set_clock(clock, JUMPS[number % len(JUMPS)])
            change_surroundings(site, number)
        return site.finish("jump of the wall clock", count)


def change_surroundings(site: Site, number: int) -> None:
    """The kubelet restarts, a pod starts, and after some rounds labels change. number: of the round."""
    if number % LABELS_EACH == 0:
        site.change_labels()
    site.restart_kubelet()
    site.wait(site.is_recovered)
    site.use()
    site.check_allocations()


def set_clock(file: Path, seconds: float) -> None:
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)


CASES = {
    "kubelet": Case(run=restart_kubelet, count=100, quick=10),
    "registrations": Case(run=register_again, count=1000, quick=100),
    "xids": Case(run=send_xids, count=10000, quick=1000),
    "api": Case(run=stop_api_server, count=60, quick=6),
    "kills": Case(run=kill_at_writes, count=1, quick=10),
    "disk": Case(run=fill_disk, count=20, quick=2),
    "clock": Case(run=change_clock, count=20, quick=10),
}
"""The faults by their names for --only. `kills` counts the writes from one kill to the next."""

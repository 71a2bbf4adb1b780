"""Checks a pod of an agent by its status, as the API server has it. PURE. Source: Kubernetes API v1, ContainerStatus."""

from gpunode.cluster.objects import ContainerStatus, Stop
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.objects import ProgramPod
from gpunode.output.age import parse_time, render_age

NAME = "agent"
PENDING_SECONDS = 300.0
"""A pod that is not ready for a shorter time is starting."""
RECENT_SECONDS = 3600.0
"""A container that ended earlier, and has run since, is no problem."""
IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
STARTING = ("", "ContainerCreating", "PodInitializing")
OOM = "OOMKilled"
NOT_READY, UNSCHEDULABLE, STUCK = "AgentNotReady", "AgentUnschedulable", "AgentNotStarted"
MAX_MESSAGE = 200


def check_pod(pod: ProgramPod, agents: str, wall: float) -> Check:
    """agents: the names of the agents in the pod. wall: Unix seconds."""
    where = f"{agents} in the pod {pod.key}"
    if pod.metadata.deletion_timestamp:
        return note(NAME, f"{where} is ending")
    if (failed := _check_scheduling(pod, where) or _check_waiting(pod, where, wall)) is not None:
        return failed
    statuses = pod.status.container_statuses
    restarts = sum(each.restart_count for each in statuses)
    ended = _last_end(statuses)
    is_recent = ended is not None and wall - _seconds(ended.finished_at) < RECENT_SECONDS
    if ended is not None and is_recent:
        sentence = f"{where} was restarted {_times(restarts)}, last {render_age(ended.finished_at or '', wall)} ago: {_describe(ended)}"
        return problem(NAME, sentence, _advise_end(pod, ended), reason=ended.reason or "Error")
    if not statuses or not all(each.ready for each in statuses):
        return _check_readiness(pod, where, wall)
    since = f", and was restarted {_times(restarts)}" if restarts else ""
    return ok(NAME, f"{where} is ready{since}")


def _check_scheduling(pod: ProgramPod, where: str) -> Check | None:
    for each in pod.status.conditions:
        if each.type == "PodScheduled" and each.status == "False":
            todo = f"{_kubectl(pod, 'describe')}: the scheduler states why"
            return problem(NAME, f"{where} is not scheduled: {_shorten(each.message)}", todo, reason=UNSCHEDULABLE)
    return None


def _check_waiting(pod: ProgramPod, where: str, wall: float) -> Check | None:
    """Checks the first container that waits, in the order in which containers start."""
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        waiting = status.state.waiting
        if waiting is None:
            continue
        if waiting.reason in STARTING:
            return _check_start(pod, where, wall)
        ended = status.last_state.terminated
        why = f". The container ended {_times(status.restart_count)}, last: {_describe(ended)}" if ended else ""
        text = ": ".join(filter(None, (waiting.reason, "" if ended else _shorten(waiting.message))))
        todo = _advise_wait(pod, waiting.reason, ended)
        reason = ended.reason if ended is not None and ended.reason == OOM else waiting.reason
        return problem(NAME, f"{where} does not run: {text}{why}", todo, reason=reason)
    return None


def _check_start(pod: ProgramPod, where: str, wall: float) -> Check:
    age = render_age(pod.metadata.creation_timestamp, wall)
    if wall - _seconds(pod.metadata.creation_timestamp) < PENDING_SECONDS:
        return note(NAME, f"{where} has been starting for {age}")
    todo = f"{_kubectl(pod, 'describe')}: the Events state what the kubelet waits for"
    return problem(NAME, f"{where} has been starting for {age}", todo, reason=STUCK)


def _check_readiness(pod: ProgramPod, where: str, wall: float) -> Check:
    if wall - _seconds(pod.metadata.creation_timestamp) < PENDING_SECONDS:
        return note(
            NAME, f"{where} is not ready yet: it was created {render_age(pod.metadata.creation_timestamp, wall)} ago"
        )
    todo = f'{_kubectl(pod, "logs")}: the event not_ready names the check; see "Checks of /readyz" in docs/how-to/troubleshoot.md'
    return problem(NAME, f"{where} runs, but its /readyz fails", todo, reason=NOT_READY)


def _last_end(statuses: tuple[ContainerStatus, ...]) -> Stop | None:
    """Returns the end of a container that was restarted, or that has ended."""
    ends = [end for each in statuses for end in (each.state.terminated, each.last_state.terminated) if end is not None]
    return max(ends, key=lambda end: _seconds(end.finished_at), default=None)


def _describe(ended: Stop) -> str:
    how = f"signal {ended.signal}" if ended.signal else f"exit status {ended.exit_code}"
    return ": ".join(filter(None, (f"{ended.reason or 'it ended'} ({how})", _shorten(ended.message))))


def _advise_wait(pod: ProgramPod, reason: str, ended: Stop | None) -> str:
    if reason in IMAGE:
        return (
            "check image.repository, image.tag and imagePullSecrets of the chart, and that the nodes reach the registry"
        )
    if ended is not None:
        return _advise_end(pod, ended)
    return f"{_kubectl(pod, 'describe')}: the Events state why the container cannot be created"


def _advise_end(pod: ProgramPod, ended: Stop) -> str:
    if ended.reason == OOM:
        return "increase or remove the memory limit of the agent (resources in the values of the chart)"
    if ended.exit_code == 2:
        return f"correct the flags, environment variables or config files that {_kubectl(pod, 'logs')} --previous names"
    return f"{_kubectl(pod, 'logs')} --previous: the last lines state why the agent ended"


def _kubectl(pod: ProgramPod, verb: str) -> str:
    what = f"pod {pod.metadata.name}" if verb == "describe" else pod.metadata.name
    return f"kubectl -n {pod.metadata.namespace} {verb} {what}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _shorten(text: str) -> str:
    """Returns the last characters, because the end of a log states the error."""
    words = " ".join(text.split())
    return words if len(words) <= MAX_MESSAGE else f"...{words[-MAX_MESSAGE:]}"


def _seconds(text: str | None) -> float:
    """Returns Unix seconds; 0 if the time is missing."""
    try:
        return parse_time(text or "")
    except ValueError:
        return 0.0

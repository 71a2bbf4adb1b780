"""The objects that create Pods. PURE. Source: Kubernetes API, apps/v1 and batch/v1."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from gpunode.cluster.objects import LabelSelector
from gpunode.why.pod import DetailedSpec, PodDetails
from node_core.scheduling.objects import ApiStruct, Metadata, Toleration

POD = "Pod"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadKind:
    """short: the short name of kubectl, or empty."""

    kind: str
    plural: str
    group: str
    short: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The words that kubectl accepts for the kind."""
        names = (self.kind.lower(), self.plural, *filter(None, [self.short]))
        return (*names, *(f"{name}.{self.group}" for name in names[:2] if self.group))

    @property
    def resource(self) -> str:
        """`deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str = "") -> str:
        root = f"/apis/{self.group}/v1" if self.group else "/api/v1"
        end = f"/{quote(name, safe='')}" if name else ""
        return f"{root}/namespaces/{quote(namespace, safe='')}/{self.plural}{end}"


PODS = WorkloadKind(kind=POD, plural="pods", group="", short="po")
DEPLOYMENT = WorkloadKind(kind="Deployment", plural="deployments", group="apps", short="deploy")
REPLICA_SET = WorkloadKind(kind="ReplicaSet", plural="replicasets", group="apps", short="rs")
STATEFUL_SET = WorkloadKind(kind="StatefulSet", plural="statefulsets", group="apps", short="sts")
DAEMON_SET = WorkloadKind(kind="DaemonSet", plural="daemonsets", group="apps", short="ds")
JOB = WorkloadKind(kind="Job", plural="jobs", group="batch")
CRON_JOB = WorkloadKind(kind="CronJob", plural="cronjobs", group="batch", short="cj")
WORKLOADS = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, JOB, CRON_JOB, REPLICA_SET)
"""In the order in which a name without a kind is searched, after Pods."""


class PodTemplate(ApiStruct, frozen=True):
    spec: DetailedSpec = DetailedSpec()


class JobSpec(ApiStruct, frozen=True):
    """parallelism: the number of Pods that run at the same time; the default is 1."""

    template: PodTemplate = PodTemplate()
    parallelism: int | None = None
    suspend: bool | None = None


class JobTemplate(ApiStruct, frozen=True):
    spec: JobSpec = JobSpec()


class WorkloadSpec(JobSpec, frozen=True):
    """The fields of all kinds. replicas: the default is 1. job_template: of a CronJob, in place of the template."""

    selector: LabelSelector | None = None
    replicas: int | None = None
    job_template: JobTemplate | None = None


class Workload(ApiStruct, frozen=True):
    metadata: Metadata = Metadata()
    spec: WorkloadSpec = WorkloadSpec()


DAEMON_TOLERATIONS = (
    *(Toleration(key=f"node.kubernetes.io/{name}", operator="Exists", effect="NoExecute") for name in ("not-ready", "unreachable")),
    *(
        Toleration(key=f"node.kubernetes.io/{name}", operator="Exists", effect="NoSchedule")
        for name in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
    ),
)  # fmt: skip
"""What the controller of DaemonSets adds to its Pods."""


def find_kind(word: str) -> WorkloadKind | None:
    """Returns the kind for a word such as `deploy`, `jobs` or `statefulset.apps`."""
    return next((each for each in (PODS, *WORKLOADS) if word.lower() in each.words), None)


def make_pod(kind: WorkloadKind, workload: Workload) -> PodDetails:
    """Returns a Pod as the workload creates it, with the name of the workload."""
    job = workload.spec.job_template
    pod = (job.spec if job is not None else workload.spec).template.spec
    if kind is DAEMON_SET:
        pod = msgspec.structs.replace(pod, tolerations=(*pod.tolerations, *DAEMON_TOLERATIONS))
    metadata = Metadata(name=workload.metadata.name, namespace=workload.metadata.namespace)
    return PodDetails(metadata=metadata, spec=pod)


def count_desired_pods(workload: Workload) -> int:
    """Returns how many Pods run at the same time. A DaemonSet and a CronJob count as 1."""
    counts = (workload.spec.replicas, workload.spec.parallelism)
    return next((each for each in counts if each is not None), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why a workload wants no Pods. sentence: begins after the workload. advice: what to do."""

    sentence: str
    advice: str


def find_pause(kind: WorkloadKind, workload: Workload) -> Pause | None:
    """Returns None if the workload wants Pods."""
    object_name = f"{kind.kind.lower()}/{workload.metadata.name} -n {workload.metadata.namespace}"
    if workload.spec.suspend:
        patch = '{"spec":{"suspend":false}}'
        advice = f"The controller that suspended it resumes it, for example a queue of jobs. Or: kubectl patch {object_name} -p '{patch}'"
        return Pause(sentence="is suspended", advice=advice)
    if count_desired_pods(workload):
        return None
    return Pause(sentence="has 0 replicas", advice=f"Increase its replicas: kubectl scale {object_name} --replicas=1")


def known_words() -> Sequence[str]:
    return [word for each in (PODS, *WORKLOADS) for word in each.words]

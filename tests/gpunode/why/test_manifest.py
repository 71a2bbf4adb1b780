"""`why -f`: manifests of pods that do not exist yet."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gpunode.why.manifest import parse_manifests
from gpunode.why.subject import Subject
from node_core.errors import SettingsError
from tests.conftest import Golden
from tests.gpunode.why.conftest import Why

Obj = dict[str, Any]


def pod(limits: Any = None, *, requests: Any = None, name: str = "p", **spec: Any) -> Obj:
    resources = {"limits": limits or {}, "requests": requests or {}}
    containers = [{"name": "main", "image": "i", "resources": resources}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def workload(kind: str, **spec: Any) -> Obj:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w", "namespace": "other"}, "spec": spec}


def parse(*documents: Any) -> tuple[Subject, ...]:
    return parse_manifests(documents, "f.yaml", "team")


def problems(*documents: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(*documents)
    return caught.value.problems


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"])
def test_the_template_of_a_workload_is_explained(kind: str) -> None:
    template = {"metadata": {"creationTimestamp": None}, "spec": pod({"cpu": 1})["spec"]}
    (subject,) = parse(workload(kind, template=template))
    assert (subject.title, subject.is_live) == (f"{kind} other/w", False)
    assert subject.pod.spec.containers[0].resources.limits == {"cpu": 1}
    assert any(each.key == "node.kubernetes.io/unschedulable" for each in subject.pod.spec.tolerations) is (
        kind == "DaemonSet"
    )


def test_the_template_of_a_cron_job_is_that_of_its_jobs() -> None:
    job = {"spec": {"template": {"spec": pod({"cpu": 1})["spec"]}}}
    (subject,) = parse(workload("CronJob", schedule="* * * * *", jobTemplate=job))
    assert subject.pod.spec.containers[0].name == "main"


def test_a_pod_without_a_namespace_or_name_gets_that_of_the_context_and_of_generate_name() -> None:
    manifest = pod() | {"metadata": {"generateName": "train-"}}
    assert parse(manifest)[0].title == "Pod team/train"


def test_lists_and_several_documents_are_read_and_other_kinds_are_ignored() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": 5}}
    listed = {"kind": "List", "items": [pod(name="a"), service]}
    assert [each.pod.metadata.name for each in parse(listed, pod(name="b"))] == ["a", "b"]


def test_the_node_and_the_status_of_an_exported_pod_are_ignored() -> None:
    exported = pod(nodeName="n") | {"status": {"phase": "Running"}}
    (subject,) = parse(exported)
    assert subject.needs_nodes
    assert subject.notes == ("The scheduler does not place a pod with nodeName, which is n here. It is ignored.",)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([1], "f.yaml: expected an object of Kubernetes, found a list"),
        ({"metadata": {}}, "f.yaml: an object has no `kind`"),
        ({"kind": "Service"}, "f.yaml: contains Service. Use a manifest with a Pod, Deployment,"),
        ({"kind": "List", "items": []}, "f.yaml: contains nothing."),
        (pod(name="A_b"), "f.yaml: Pod: metadata.name: 'A_b' is not a name of a Pod"),
        ({"kind": "Pod", "metadata": {}}, "f.yaml: Pod: metadata.name: is missing"),
        (
            pod() | {"metadata": {"name": "p", "namespace": "a/b"}},
            "f.yaml: Pod: metadata.namespace: 'a/b' is not a name of a namespace",
        ),
        (pod(nodeSelector={"a": True}), "f.yaml: Pod: spec.nodeSelector.a: must be text, found the boolean true"),
        (pod(tolerations={}), "f.yaml: Pod: spec.tolerations: must be a list, found a mapping"),
        (pod({"cpu": "many"}), "f.yaml: Pod: container main: cpu: 'many' is not a quantity"),
        (pod({"cpu": -1}), "f.yaml: Pod: container main: cpu: -1 is negative"),
        ({"kind": "Pod", "metadata": 5, "spec": {}}, "f.yaml: Pod: metadata: expected a mapping, got the number 5"),
    ],
    ids=str,
)
def test_a_wrong_manifest_is_an_error_with_the_place(document: Any, expected: str) -> None:
    assert problems(document)[0].startswith(expected)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (pod({"nvidia.com/gpu": 0.5}), "Container main: nvidia.com/gpu: 0.5 is not a whole number."),
        (pod({"nvidia.com/gpu": "500m"}), "Container main: nvidia.com/gpu: 500m is not a whole number."),
        (pod({"nvidia.com/gpu": 2}, requests={"nvidia.com/gpu": 1}), "the request 1 and the limit 2 must be equal."),
        (pod(requests={"nvidia.com/gpu": 1}), "Container main: nvidia.com/gpu has a request and no limit."),
        (pod({"cpu": 1}, requests={"cpu": 2}), "Container main: requests more cpu than its limit."),
        (pod() | {"spec": {}}, "The pod has no containers."),
    ],
    ids=str,
)
def test_what_the_api_server_would_refuse_is_stated(manifest: Obj, expected: str, why: Why, tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(manifest))
    result = why("-f", str(tmp_path / "pod.yaml"))
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.startswith("Pod team/p would be refused by the API server.\n")
    assert expected in result.stdout


def test_standard_input_can_contain_several_pods_and_one_that_cannot_be_placed_decides(why: Why) -> None:
    documents = (pod({"nvidia.com/gpu": 1}, name="small"), pod({"nvidia.com/gpu": 99}, name="large"))
    result = why("-f", "-", stdin=yaml.safe_dump_all(documents))
    assert (result.exit_code, result.stderr) == (1, "")
    assert "Pod team/small can be placed" in result.stdout
    assert "Pod team/large cannot be placed" in result.stdout
    assert why("-f", "-", stdin=yaml.safe_dump(documents[0])).exit_code == 0


@pytest.mark.golden
def test_the_text_for_a_manifest_with_volumes_and_pod_affinity(why: Why, golden: Golden) -> None:
    spec: Obj = {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a"}]}},
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "schedulerName": "volcano",
    }
    result = why("-f", "-", stdin=yaml.safe_dump(pod({"nvidia.com/gpu": 1}, **spec)))
    golden("gpunode/why/manifest.txt", result.stdout)
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: Pod\nspec: {", "gpunode why: -: line 3, column 1: a value is missing"),
        ("\x00", "gpunode why: -: "),
        ("", "gpunode why: -: contains nothing"),
        ("a: &x 1\nb: *x", "gpunode why: -: line 2: an alias (*) is not allowed here"),
        ("kind: Pod\x1b[31m", "gpunode why: -: "),
    ],
)
def test_garbage_is_an_error_in_a_line(text: str, expected: str, why: Why) -> None:
    result = why("-f", "-", stdin=text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(expected)
    assert "\x1b" not in result.stderr


def test_a_file_that_does_not_exist_is_an_error(why: Why) -> None:
    result = why("-f", "/missing.yaml")
    assert (result.exit_code, result.stderr) == (2, "gpunode why: /missing.yaml: does not exist\n")

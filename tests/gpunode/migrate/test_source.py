"""Files with values: the chart, the order of files, and manifests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gpunode.migrate.charts import Chart
from gpunode.migrate.source import Source, read_sources
from node_core.errors import SettingsError

Write = Callable[..., list[str]]
POLICY = {
    "apiVersion": "nvidia.com/v1",
    "kind": "ClusterPolicy",
    "metadata": {"name": "p"},
    "spec": {"mig": {"strategy": "single"}},
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def save(*contents: object) -> list[str]:
        for index, content in enumerate(contents):
            Path(f"{index}.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return [f"{index}.yaml" for index in range(len(contents))]

    return save


def refusal(files: list[str], chart: Chart | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        read_sources(files, chart)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("values", "chart"),
    [
        ({"deviceListStrategy": "envvar"}, Chart.DEVICE_PLUGIN),
        ({"gfd": {"noTimestamp": True}}, Chart.DEVICE_PLUGIN),
        ({"nfd": {"worker": {"config": {}}}}, Chart.DEVICE_PLUGIN),
        ({"driver": {"enabled": False}}, Chart.GPU_OPERATOR),
        ({"devicePlugin": {"env": []}}, Chart.GPU_OPERATOR),
        ({"node-feature-discovery": {"worker": {}}}, Chart.GPU_OPERATOR),
        ({"worker": {"config": {}}, "unknown": 1}, Chart.NFD),
        ({"topologyUpdater": {"enable": True}}, Chart.NFD),
        ("USER-SUPPLIED VALUES:\nmaster:\n  enableTaints: true\n", Chart.NFD),
    ],
)
def test_the_values_show_their_chart(write: Write, values: object, chart: Chart) -> None:
    assert [each.chart for each in read_sources(write(values))] == [chart]


def test_values_of_several_charts_need_a_flag_or_another_file(write: Write) -> None:
    shared = {"gfd": {"enabled": True}, "nfd": {"enabled": False}}
    assert refusal(write(shared)) == (
        "0.yaml: the charts nvidia-device-plugin and gpu-operator have these values. Use --from nvidia-device-plugin or --from gpu-operator"
    )
    assert read_sources(write(shared), Chart.GPU_OPERATOR)[0].chart is Chart.GPU_OPERATOR
    (found,) = read_sources(write(shared, {"driver": {"enabled": False}}))
    assert found == Source(chart=Chart.GPU_OPERATOR, values={**shared, "driver": {"enabled": False}})


def test_later_files_replace_values_as_in_helm(write: Write) -> None:
    first = {"config": {"map": {"a": "x", "b": "y"}}, "tolerations": [{"key": "a"}], "migStrategy": "single"}
    second = {"config": {"map": {"b": None, "c": "z"}}, "tolerations": [], "migStrategy": "mixed"}
    (found,) = read_sources(write(first, second))
    assert found.values == {
        "config": {"map": {"a": "x", "b": None, "c": "z"}},
        "tolerations": [],
        "migStrategy": "mixed",
    }


def test_the_same_file_twice_is_read_once(write: Write) -> None:
    (file,) = write({"worker": {"config": {}}})
    assert read_sources([file, file]) == read_sources([file])


def test_files_of_different_charts_are_separate(write: Write) -> None:
    sources = read_sources(write({"migStrategy": "none"}, {"worker": {"enable": True}}, POLICY))
    assert [(each.chart, each.prefix) for each in sources] == [
        (Chart.DEVICE_PLUGIN, ""),
        (Chart.NFD, ""),
        (Chart.GPU_OPERATOR, "spec."),
    ]


def test_a_cluster_policy_may_be_in_a_list(write: Write) -> None:
    for content in (POLICY, {"apiVersion": "v1", "kind": "List", "items": [{"kind": "Pod"}, POLICY, 5]}):
        (found,) = read_sources(write(content))
        assert (found.values, found.path("mig")) == (POLICY["spec"], "spec.mig")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            {"apiVersion": "v1", "kind": "List", "items": [POLICY, POLICY]},
            "0.yaml: contains 2 ClusterPolicy objects (p, p). Write one",
        ),
        (
            {"apiVersion": "v1", "kind": "List", "items": []},
            "0.yaml: contains List, but no ClusterPolicy and no values of a chart.",
        ),
        ({"apiVersion": "a/v2", "kind": "HelmRelease"}, "no values of a chart. Write its spec.values to a file."),
        (POLICY | {"spec": []}, "0.yaml: spec: must be a mapping, found a list"),
        ("[]", "0.yaml: has no values that a known chart has"),
        ("- a", "0.yaml: expected a mapping of values, found a list"),
        ("text", "0.yaml: expected a mapping of values, found the text 'text'"),
        ("null", "Use `helm get values --all`, or --from"),
        ("", "0.yaml: has no values that a known chart has"),
        ("a: [", "0.yaml: line 2, column 1: a value is missing"),
        ("a: 1\n---\nb: 1", "0.yaml: expected one document, got 2"),
        ("#" * (5 << 20), "0.yaml: is larger than 1048576 bytes"),
        ("a: &a {b: *a}", "the alias *a is inside of the value"),
        (
            {"foo": 1, "bar": {"baz": None}},
            "0.yaml: has no values that a known chart has (NVIDIA's device plugin, the GPU Operator, Node",
        ),
    ],
)
def test_a_file_without_values_of_a_known_chart_is_refused(write: Write, content: object, why: str) -> None:
    assert why in refusal(write(content))


def test_all_files_with_problems_are_reported(write: Write) -> None:
    assert refusal([*write("a: [", "- x"), "missing"]).count("\n") == 2


def test_a_chart_in_a_flag_also_accepts_an_empty_file(write: Write) -> None:
    assert read_sources(write(""), Chart.NFD) == (Source(chart=Chart.NFD, values={}),)

"""Completion of names and labels from the person's cluster."""

import threading
from pathlib import Path

import click
import pytest

from gpunode.cluster import lists
from gpunode.completion import cluster
from gpunode.completion.cluster import (
    complete_label,
    complete_nodes,
    complete_pods,
    complete_selector,
    read_nodes,
    select_parts,
)
from gpunode.completion.shells import Zsh
from node_core.scheduling.objects import Metadata, Node
from simulation.apiserver import ApiServer
from tests.gpunode.cluster.conftest import server  # noqa: F401 - a fixture
from tests.waiting import TIMEOUT_SECONDS

COMMAND = click.Command(
    "c",
    params=[
        click.Argument(["name"], shell_complete=complete_nodes),
        click.Option(["-l"], shell_complete=complete_selector),
        click.Option(["--product"], shell_complete=complete_label("nvidia.com/gpu.product")),
        click.Option(["--kubeconfig"]),
        click.Option(["--context"]),
    ],
)
WHY = click.Command(
    "why",
    params=[
        click.Argument(["target"], shell_complete=complete_pods),
        click.Option(["-n", "--namespace"]),
        click.Option(["--kubeconfig"]),
    ],
)


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> str:  # noqa: F811
    for name, product in (("gpu-b", "NVIDIA-L40S"), ("gpu-a", "Tesla-T4"), ("cpu", None)):
        server.add_node(name, labels={} if product is None else {"nvidia.com/gpu.product": product})
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return str(tmp_path / "kubeconfig")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load, a cluster on this machine needs more than the usual time limit."""
    monkeypatch.setattr(cluster, "SECONDS", TIMEOUT_SECONDS)


def complete(*words: str, command: click.Command = COMMAND) -> list[str]:
    *args, incomplete = words
    return [item.value for item in Zsh(command, {}, "c", "").get_completions(args, incomplete)]


def test_the_names_of_the_nodes_are_completed(kubeconfig: str) -> None:
    assert complete("--kubeconfig", kubeconfig, "g") == ["gpu-a", "gpu-b"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("t",), ["train-0", "train-1"]),
        (("-n", "web", ""), ["api"]),
        (("-n", "web", "deploy/"), ["deploy/api"]),
        (("pods/train-1",), ["pods/train-1"]),
        (("unknown/",), []),
        (("-n", "none", ""), []),
    ],
)
def test_the_pods_and_workloads_of_the_namespace_are_completed(
    server: ApiServer,  # noqa: F811
    kubeconfig: str,
    words: tuple[str, ...],
    expected: list[str],
) -> None:
    for namespace, name in (("default", "train-0"), ("default", "train-1"), ("web", "api")):
        server.store.create("pods", {"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": []}})
    server.store.create("deployments.apps", {"metadata": {"name": "api", "namespace": "web"}, "spec": {}})
    assert complete("--kubeconfig", kubeconfig, *words, command=WHY) == expected


def test_the_values_of_a_label_are_completed(kubeconfig: str) -> None:
    assert complete("--kubeconfig", kubeconfig, "--product", "") == ["NVIDIA-L40S", "Tesla-T4"]


def test_a_selector_is_completed_part_by_part(kubeconfig: str) -> None:
    assert complete("--kubeconfig", kubeconfig, "-l", "nvidia.com/gpu.pr") == ["nvidia.com/gpu.product="]
    assert complete("--kubeconfig", kubeconfig, "-l", "nvidia.com/gpu.product=T") == ["nvidia.com/gpu.product=Tesla-T4"]


@pytest.mark.parametrize(
    ("incomplete", "parts"),
    [
        ("", {"a=", "b="}),
        ("a=", {"a=1", "a=2"}),
        ("a!=", {"a!=1", "a!=2"}),
        ("b=3,", {"b=3,a=", "b=3,b="}),
        ("b=3,a=", {"b=3,a=1", "b=3,a=2"}),
        ("c=", set()),
    ],
)
def test_the_parts_of_a_selector(incomplete: str, parts: set[str]) -> None:
    assert select_parts([{"a": "1", "b": "3"}, {"a": "2"}], incomplete) == parts


def test_a_text_that_is_not_a_name_is_not_inserted_into_the_line(
    kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("$(reboot)", "a b", "a;b", "a\x1b", "a\nb", "good", "")
    monkeypatch.setattr(
        lists, "list_nodes", lambda _: iter([tuple(Node(metadata=Metadata(name=each)) for each in names)])
    )
    assert complete("--kubeconfig", kubeconfig, "") == ["good"]


def test_without_a_cluster_nothing_is_completed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken").write_text("{")
    for file in ("missing", "broken"):
        assert complete("--kubeconfig", str(tmp_path / file), "") == []
    assert capfd.readouterr() == ("", "")


def test_a_context_that_does_not_exist_completes_nothing(kubeconfig: str) -> None:
    assert complete("--kubeconfig", kubeconfig, "--context", "x", "") == []


def test_a_cluster_that_does_not_answer_in_time_completes_what_it_has_listed(
    kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_listed, is_over = threading.Event(), threading.Event()

    def slow(*_: object) -> object:
        yield (Node(metadata=Metadata(name="first")),)
        is_listed.set()
        is_over.wait(60)

    class Thread(threading.Thread):
        """A thread for which the time limit ends after the first page."""

        def join(self, timeout: float | None = None) -> None:
            assert timeout == cluster.SECONDS
            assert is_listed.wait(60)

    monkeypatch.setattr(lists, "list_nodes", slow)
    monkeypatch.setattr(threading, "Thread", Thread)
    context = COMMAND.make_context("c", ["--kubeconfig", kubeconfig], resilient_parsing=True)
    try:
        assert [name for name, _ in read_nodes(context)] == ["first"]
    finally:
        is_over.set()

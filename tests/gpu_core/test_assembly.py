"""The dependencies of an agent and the writer for --publish."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_plugin.health.build import state_file
from gpu_core.assembly import Dependencies, Destination, choose_writer, label_program, mark_simulation
from node_core.domain.desired import CollectorResult, Desired, Outputs, complete, failed_result
from node_core.domain.features import Features
from node_core.domain.labels import SIMULATED
from node_core.domain.node_feature import WORKER_PREFIX
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import RULE_TAINTS_ANNOTATION
from node_core.errors import SettingsError
from node_core.publish.writer import write_outputs
from node_core.runtime.control_loop import Timers
from node_core.runtime.label_controller import LabelController, LabelLoop
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.values import replace
from node_core.version import VERSION
from simulation.apiserver import ApiServer

COMMON = CommonSettings(
    node_name="n1",
    kubeconfig=None,
    simulate=None,
    host_root=Path("/"),
    oneshot=False,
    interval=None,
    address="",
    log_format="json",
    log_level="info",
    lock_dir=None,
)


@pytest.mark.parametrize("oneshot", [False, True])
def test_a_long_running_process_with_a_lock_folder_has_a_lock(tmp_path: Path, oneshot: bool) -> None:
    lock = Dependencies(replace(COMMON, lock_dir=tmp_path, oneshot=oneshot), "gfd").lock("gfd")
    assert (lock is None) is oneshot
    if lock is not None:
        assert lock.acquire() is None
        assert [path.name for path in tmp_path.iterdir()] == ["gfd.n1.lock"]
        lock.release()


def test_without_a_lock_folder_there_is_no_lock_and_no_state_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dependencies = Dependencies(COMMON, "gpu-device-plugin")
    assert dependencies.lock("gpu-device-plugin") is None
    state_file("gpu-device-plugin", dependencies).write({})
    assert list(tmp_path.iterdir()) == []


LABELS = {"example.com/l": "1"}
OUTPUTS = Outputs(labels=LABELS, annotations={"example.com/a": "2"}, features=Features(flags={"a.b": frozenset({"C"})}))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


@pytest.fixture
def dependencies(server: ApiServer, tmp_path: Path) -> Dependencies:
    assert server.url
    common = CommonSettings(
        node_name="n1",
        kubeconfig=str(tmp_path / "kubeconfig"),
        simulate=None,
        host_root=tmp_path,
        oneshot=True,
        interval=None,
        address="",
        log_format="auto",
        log_level="info",
        lock_dir=tmp_path,
    )
    return Dependencies(common, "nfd-lite")


def publish(dependencies: Dependencies, destination: Destination, **options: Any) -> None:
    owner = FieldOwner(manager="nfd-lite", taints_annotation=RULE_TAINTS_ANNOTATION)
    writer = choose_writer(dependencies, destination, dependencies.common.host_root / "features", owner, **options)
    writer.refresh()
    assert writer.published() == Outputs()
    assert write_outputs(writer, OUTPUTS)
    assert not write_outputs(writer, OUTPUTS)


def test_labels_and_annotations_are_written_to_the_node(dependencies: Dependencies) -> None:
    publish(dependencies, "node")
    view = dependencies.node.api.get()
    assert (view.labels_by("nfd-lite"), view.annotations_by("nfd-lite")) == (LABELS, {"example.com/a": "2"})


def test_a_node_feature_has_the_prefix_and_the_features(dependencies: Dependencies, server: ApiServer) -> None:
    publish(dependencies, "node-feature", namespace="default", prefix=WORKER_PREFIX)
    publish(dependencies, "node-feature", namespace="default")
    objects = {item["metadata"]["name"]: item for item in server.store.list("nodefeatures.nfd.k8s-sigs.io")[0]}
    assert objects.keys() == {"n1", "nvidia-features-for-n1"}
    assert objects["n1"]["metadata"]["annotations"] == {"nfd.node.kubernetes.io/worker.version": VERSION}
    assert "annotations" not in objects["nvidia-features-for-n1"]["metadata"]
    assert objects["n1"]["spec"]["features"]["flags"] == {"a.b": {"elements": {"C": {}}}}
    assert len(dependencies.feature_informers) == 2


def test_a_file_contains_labels_only(dependencies: Dependencies) -> None:
    publish(dependencies, "file")
    assert (dependencies.common.host_root / "features").read_text() == "example.com/l=1\n"


def test_the_destination_nothing_writes_nothing(dependencies: Dependencies) -> None:
    writer = choose_writer(dependencies, "nothing", Path(), FieldOwner(manager="nfd-lite", taints_annotation=""))
    assert not write_outputs(writer, OUTPUTS)


def test_a_host_root_that_is_not_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--host-root: .*/missing is not a directory"):
        Dependencies(replace(COMMON, host_root=tmp_path / "missing"), "gfd")


@pytest.mark.parametrize("destination", ["node", "file"])
def test_a_labelling_program_publishes_once(dependencies: Dependencies, destination: Destination) -> None:
    file = dependencies.common.host_root / "features"

    def build(services: Services) -> LabelLoop:
        timers = Timers(services.clock)
        controller = LabelController(
            "gfd",
            collect=lambda _: Desired(results=(CollectorResult(name="test", labels=LABELS),)),
            writer=choose_writer(dependencies, destination, file, FieldOwner(manager="gfd", taints_annotation="")),
            services=services,
            timers=timers,
        )
        return LabelLoop(controller, services, mailbox=Mailbox(), timers=timers)

    program = label_program(dependencies, destination, build)
    assert program.common is dependencies.common
    assert program.once is not None
    assert program.once(Services())
    if destination == "node":
        assert dependencies.node.api.get().labels_by("gfd") == LABELS
    else:
        assert file.read_text() == "example.com/l=1\n"


@pytest.mark.parametrize(("simulate", "labels"), [("t4x1", {"a": "1", SIMULATED: "true"}), (None, {"a": "1"})])
def test_the_label_of_a_simulation_does_not_depend_on_collectors_that_fail(
    simulate: str | None, labels: dict[str, str]
) -> None:
    dependencies = Dependencies(replace(COMMON, simulate=simulate), "gfd")
    marked = mark_simulation(dependencies, Desired(results=(failed_result("host"),)))
    published = Outputs(labels={"a": "1", SIMULATED: "true"})
    assert complete(marked, published).labels == labels


def test_without_a_driver_the_device_nodes_are_expected_below_a_driver_root_with_dev_else_below_the_host_root(
    tmp_path: Path,
) -> None:
    host, mount = tmp_path / "host", tmp_path / "driver-root"
    for folder in (host, mount):
        folder.mkdir()
    dependencies = Dependencies(replace(COMMON, host_root=host), "gfd", mount)
    assert dependencies.roots().dev_mount == host
    (mount / "dev").mkdir()
    assert dependencies.roots().dev_mount == mount
    (mount / "run/nvidia/driver/dev").mkdir(parents=True)
    (mount / "run/nvidia/driver/dev/nvidiactl").touch()
    assert dependencies.roots().dev_mount == mount / "run/nvidia/driver"

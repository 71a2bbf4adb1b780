"""The runtimes of a node, and the one of the kubelet."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from gpu_toolkit.discover import (
    CDI_FOLDERS,
    Choices,
    find_sockets,
    merge_crio,
    parse_docker_switch,
    parse_running_config,
    read_endpoint,
    read_runtime,
)
from gpu_toolkit.host import Host
from gpu_toolkit.model import Cdi
from node_core.errors import RuntimeConfigError
from tests.gpu_toolkit.cri_server import cri_server

CONTAINERD, CRIO = "/run/containerd/containerd.sock", "/run/crio/crio.sock"


def add(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / path.lstrip("/")).touch()


HOST_CGROUP = "0::/system.slice/kubelet.service\n"
POD_CGROUP = "0::/kubepods.slice/kubepods-pod3f1c9a52_0d1e_4f6b_8a77_5b1c2d3e4f50.slice/cri-containerd-x.scope\n"


def kubelet(proc: Path, *command: str, pid: int = 77, cgroup: str = HOST_CGROUP) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(b"\0".join(word.encode() for word in command) + b"\0")
    (proc / str(pid) / "cgroup").write_text(cgroup)


def test_the_only_runtime_is_the_one_of_the_kubelet(tmp_path: Path) -> None:
    add(tmp_path, CONTAINERD)
    assert find_sockets(Host(tmp_path), Choices(), tmp_path / "proc") == ((CONTAINERD,), CONTAINERD)


def test_two_runtimes_need_the_kubelet_or_the_user(tmp_path: Path) -> None:
    add(tmp_path, CONTAINERD, CRIO)
    proc = tmp_path / "proc"
    assert find_sockets(Host(tmp_path), Choices(), proc) == ((CONTAINERD, CRIO), None)
    assert find_sockets(Host(tmp_path), Choices(socket=CRIO), proc) == ((CRIO, CONTAINERD), CRIO)
    kubelet(proc, "/usr/bin/kubelet", f"--container-runtime-endpoint=unix://{CRIO}")
    assert find_sockets(Host(tmp_path), Choices(), proc) == ((CRIO, CONTAINERD), CRIO)


@pytest.mark.parametrize(
    ("command", "socket"),
    [
        (("/usr/local/bin/k3s server",), "/run/k3s/containerd/containerd.sock"),
        (("/usr/local/bin/k3s", "agent"), "/run/k3s/containerd/containerd.sock"),
        (("k3s", "kubectl", "get", "pods"), None),
        (("/snap/microk8s/8000/kubelite", "--kubelet-args-file=/x"), "/var/snap/microk8s/common/run/containerd.sock"),
        (("kubelet", "--container-runtime-endpoint=unix:///var/run/crio/crio.sock"), "/run/crio/crio.sock"),
        (("",), None),
    ],
)
def test_distributions_have_the_kubelet_in_other_programs(
    tmp_path: Path, command: tuple[str, ...], socket: str | None
) -> None:
    kubelet(tmp_path / "proc", *command)
    assert read_endpoint(Host(tmp_path), tmp_path / "proc") == socket


@pytest.mark.parametrize(
    "command",
    [("kubelet", "--container-runtime-endpoint=unix:///var/lib/kubelet/pods/x/evil.sock"), ("k3s", "server")],
    ids=["hostile pod", "virtual cluster"],
)
def test_a_kubelet_in_a_pod_does_not_choose_the_socket(tmp_path: Path, command: tuple[str, ...]) -> None:
    proc = tmp_path / "proc"
    kubelet(proc, *command, pid=5, cgroup=POD_CGROUP)
    assert read_endpoint(Host(tmp_path), proc) is None
    kubelet(proc, "kubelet", f"--container-runtime-endpoint=unix://{CRIO}")
    assert read_endpoint(Host(tmp_path), proc) == CRIO


def test_a_folder_that_only_root_may_search_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "stat", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(RuntimeConfigError, match=r"/run/containerd/containerd.sock .*run the command as root"):
        find_sockets(Host(tmp_path), Choices(), tmp_path / "proc")


def test_a_node_without_a_runtime_has_none(tmp_path: Path) -> None:
    assert find_sockets(Host(tmp_path), Choices(), tmp_path / "proc") == ((), None)


@pytest.mark.parametrize(
    ("config", "endpoint"),
    [
        ("containerRuntimeEndpoint: unix:///x.sock\n", "/x.sock"),
        ("containerRuntimeEndpoint: [1]\n", None),
        ("a: [\n", None),
        ("3\n", None),
        ("", None),
        (None, None),
    ],
)
def test_the_config_of_the_kubelet_names_the_socket(tmp_path: Path, config: str | None, endpoint: str | None) -> None:
    kubelet(tmp_path / "proc", "/usr/bin/kubelet", "--config", "/kubelet.yaml")
    if config is not None:
        (tmp_path / "kubelet.yaml").write_text(config)
    assert read_endpoint(Host(tmp_path), tmp_path / "proc") == endpoint


def test_a_runtime_reports_its_version_and_its_running_config() -> None:
    with cri_server(config={"enableCDI": False, "cdiSpecDirs": ["/etc/cdi"]}) as socket:
        runtime = read_runtime(Host(), str(socket), Choices(config="/c"))
    assert (runtime.title, runtime.config, runtime.cdi) == (
        "containerd 2.1.9",
        "/c",
        Cdi(is_enabled=False, folders=("/etc/cdi",)),
    )
    assert runtime.process is not None


def test_a_runtime_that_is_not_ready_reports_why() -> None:
    with cri_server(ready=False) as socket:
        assert read_runtime(Host(), str(socket), Choices()).problem == "Starting: not yet"


def test_the_folders_of_cri_o_are_those_of_the_last_file(tmp_path: Path) -> None:
    folder = tmp_path / "etc/crio/crio.conf.d"
    folder.mkdir(parents=True)
    (folder / "10-a.conf").write_text('[crio.runtime]\ncdi_spec_dirs = ["/a"]\n')
    (folder / "20-b.conf").write_text('[crio.runtime]\ncdi_spec_dirs = ["/b"]\n')
    with cri_server(name="cri-o", version="1.34.0", path=tmp_path / "s") as _:
        assert read_runtime(Host(tmp_path), "/s", Choices(config="/etc/crio/crio.conf")).cdi == Cdi(
            is_enabled=True, folders=("/b",)
        )
    assert merge_crio([]) == CDI_FOLDERS


def test_docker_behind_cri_dockerd_reads_its_switch(tmp_path: Path) -> None:
    (tmp_path / "etc/docker").mkdir(parents=True)
    (tmp_path / "etc/docker/daemon.json").write_text('{"features": {"cdi": true}}')
    with cri_server(name="docker", version="27.5.1", path=tmp_path / "s") as _:
        runtime = read_runtime(Host(tmp_path), "/s", Choices())
    assert (runtime.cdi, runtime.config) == (Cdi(is_enabled=True, folders=CDI_FOLDERS), "/etc/docker/daemon.json")


def test_an_unknown_runtime_is_reported_as_it_is(tmp_path: Path) -> None:
    with cri_server(name="runk", path=tmp_path / "s") as _:
        runtime = read_runtime(Host(tmp_path), "/s", Choices())
    assert (runtime.name, runtime.kind, runtime.cdi) == ("runk", None, None)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "3", "[" * 100_000])
def test_a_damaged_running_config_is_unknown(text: str | None) -> None:
    assert parse_running_config(text) is None


def test_an_old_running_config_has_no_switch() -> None:
    assert parse_running_config("{}") == Cdi(is_enabled=None, folders=())


@pytest.mark.parametrize(
    ("content", "switch"), [(None, None), (b"{}", None), (b"[]", None), (b'{"features": {"cdi": false}}', False)]
)
def test_the_switch_of_docker_may_be_missing(content: bytes | None, switch: bool | None) -> None:
    assert parse_docker_switch(content) is switch


def test_a_damaged_file_of_docker_is_an_error() -> None:
    with pytest.raises(RuntimeConfigError, match="is not JSON"):
        parse_docker_switch(b"{")

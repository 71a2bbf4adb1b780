"""Plans of changes by runtime and config."""

import tomllib

import pytest

from gpu_toolkit.edits import Source, config_version, find_drop_in, is_generated, plan_edits, template_path
from gpu_toolkit.model import Runtime
from tests.gpu_toolkit.places import CONFIGS

MAIN = "/etc/containerd/config.toml"


def runtime(version: str, name: str = "containerd") -> Runtime:
    return Runtime(name=name, version=version, socket="/s", config=MAIN, cdi=None)


def plans(text: str | None, version: str, drop_in: str | None = None) -> list[tuple[str, bytes]]:
    source = Source(path=MAIN, content=None if text is None else text.encode())
    found = plan_edits(runtime(version), source, None, drop_in, {(): {"enable_cdi": True}})
    return [(edit.path, edit.after) for plan in found for edit in plan.edits]


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("version = 2\n", "1.7.27", 2),
        ("version = 3\n", "2.1.9", 3),
        ("version = 4\n", "2.3.0", 4),
        ("a = 1\n", "1.7.27", 1),
        ("a = 1\n", "2.1.9", 3),
        ("", "1.7.27", 2),
        ("", "2.1.9", 3),
        ("version = true\n", "2.1.9", 3),
    ],
)
def test_the_version_of_a_config_selects_its_table(text: str, version: str, expected: int) -> None:
    assert config_version(tomllib.loads(text), runtime(version), has_file=bool(text)) == expected


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ('["/etc/containerd/conf.d/*.toml"]', "/etc/containerd/conf.d/99-gpunode.toml"),
        ('["conf.d/*.toml"]', "/etc/containerd/conf.d/99-gpunode.toml"),
        ('["/etc/containerd/runtime_*.toml"]', None),
        ('["/etc/containerd/one.toml", "/x/*"]', "/x/99-gpunode.toml"),
        ("[]", None),
        ("3", None),
    ],
)
def test_a_drop_in_needs_an_import_of_a_folder(imports: str, expected: str | None) -> None:
    assert find_drop_in(tomllib.loads(f"imports = {imports}"), MAIN) == expected


def test_containerd_1_gets_no_drop_in() -> None:
    text = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
    assert [path for path, _ in plans(text, "1.7.27")] == [MAIN]
    assert [path for path, _ in plans(text, "2.0.1")] == ["/etc/containerd/conf.d/99-gpunode.toml", MAIN]


def test_a_drop_in_has_the_version_of_the_main_file() -> None:
    """containerd 2.1 ignores a drop-in of version 2 below a main file of version 3, and replaces the whole table in the other case."""
    ((_, after), _) = plans('version = 2\nimports = ["/d/*.toml"]\n', "2.1.9")
    assert tomllib.loads(after.decode()) == {
        "version": 2,
        "plugins": {"io.containerd.grpc.v1.cri": {"enable_cdi": True}},
    }


def test_the_user_can_choose_the_drop_in() -> None:
    assert plans("version = 3\n", "2.1.9", "/x/gpu.toml")[0][0] == "/x/gpu.toml"


def test_cri_o_gets_a_drop_in() -> None:
    source = Source(path="/etc/crio/crio.conf", content=(CONFIGS / "crio.conf").read_bytes())
    (plan,) = plan_edits(runtime("1.34", "cri-o"), source, None, None, {(): {"cdi_spec_dirs": ("/etc/cdi", "/x")}})
    (edit,) = plan.edits
    assert edit.path == "/etc/crio/crio.conf.d/99-gpunode.conf"
    assert tomllib.loads(edit.after.decode()) == {"crio": {"runtime": {"cdi_spec_dirs": ["/etc/cdi", "/x"]}}}


def test_distributions_are_recognised_by_the_path_of_the_config() -> None:
    assert is_generated("/var/lib/rancher/rke2/agent/etc/containerd/config.toml")
    assert not is_generated(MAIN)
    assert (
        template_path("/var/snap/microk8s/8000/args/containerd.toml")
        == "/var/snap/microk8s/8000/args/containerd-template.toml"
    )
    assert template_path(MAIN) is None


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_config_gets_the_newest_version_that_the_runtime_reads(text: str | None) -> None:
    ((_, after),) = plans(text, "1.7.27")
    assert after.startswith(b"version = 2\n")


HANDLER = ("containerd", "runtimes", "nvidia")
NVIDIA = {HANDLER: {"runtime_type": "t"}, (*HANDLER, "options"): {"BinaryName": "/x"}}


def test_a_new_handler_is_two_tables_at_the_end() -> None:
    before = (CONFIGS / "kubeadm-1.7.toml").read_bytes()
    (plan,) = plan_edits(runtime("1.6.36"), Source(path=MAIN, content=before), None, None, NVIDIA)
    (edit,) = plan.edits
    name = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia'
    assert (
        edit.after.decode()
        == before.decode() + f'\n[{name}]\nruntime_type = "t"\n\n[{name}.options]\nBinaryName = "/x"\n'
    )
    assert plan.describe == f"changed the handler nvidia in {MAIN}"


@pytest.mark.parametrize(("version", "has_runc"), [("1.6.36", True), ("2.1.9", False)])
def test_the_default_handler_of_containerd_1_stays(version: str, has_runc: bool) -> None:
    """containerd 1.7.27 drops runc if the config has other handlers only."""
    source = Source(path=MAIN, content=b"version = 2\n")
    (plan,) = plan_edits(runtime(version), source, None, None, NVIDIA)
    assert (b"containerd.runtimes.runc]" in plan.edits[0].after) is has_runc

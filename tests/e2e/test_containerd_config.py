"""The plans of gpu-toolkit, checked by the containerd of the cluster: nothing but the wanted values changes."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpu_toolkit.dump import find_difference
from gpu_toolkit.edits import HANDLERS, Source, plan_edits
from gpu_toolkit.model import Runtime, Wanted
from tests.e2e.cluster.build import build, cache_folder
from tests.e2e.cluster.commands import run

pytestmark = pytest.mark.e2e
CONFIGS = Path(__file__).parents[1] / "gpu_toolkit" / "configs"
CRI = '[plugins."io.containerd.{}"]\nenable_cdi = false\n'
WRITTEN = {
    "version 2": "version = 2\n" + CRI.format("grpc.v1.cri"),
    "version 2 with imports": 'version = 2\nimports = ["{folder}/*.toml"]\n' + CRI.format("grpc.v1.cri"),
    "version 3 with imports": 'version = 3\nimports = ["{folder}/*.toml"]\n' + CRI.format("cri.v1.runtime"),
    "no version": CRI.format("cri.v1.runtime"),
    "empty": "",
}
TEXTS = WRITTEN | {path.name: path.read_text() for path in CONFIGS.glob("*.toml") if path.name != "k3s-2.0.toml"}
WANTED: Mapping[str, Wanted] = {
    "CDI": {(): {"enable_cdi": True, "cdi_spec_dirs": ("/etc/cdi", "/x")}},
    "handler": {(*HANDLERS, "nvidia"): {"runtime_type": "io.containerd.runc.v2"}, (*HANDLERS, "nvidia", "options"): {"BinaryName": "/x"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def containerd() -> Path:
    return build(cache_folder(), print) / "containerd"


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_plan_changes_only_the_wanted_values(containerd: Path, text: str, wanted: Wanted, tmp_path: Path) -> None:
    main = tmp_path / "config.toml"
    main.write_text(text.replace("{folder}", str(tmp_path / "conf.d")))
    before, source = dump(containerd, main), Source(path=str(main), content=main.read_bytes())
    for plan in plan_edits(runtime(containerd, main), source, None, None, wanted):
        for edit in plan.edits:
            Path(edit.path).parent.mkdir(exist_ok=True)
            Path(edit.path).write_bytes(edit.after)
        assert find_difference(before, dump(containerd, main), plan.wanted) is None, plan.describe
        for edit in plan.edits:
            Path(edit.path).unlink() if edit.before is None else Path(edit.path).write_bytes(edit.before)


def test_a_drop_in_of_another_version_hides_the_main_file(containerd: Path, tmp_path: Path) -> None:
    """Therefore a drop-in has the version of the main file, and each plan is checked with a dump."""
    main = tmp_path / "config.toml"
    main.write_text(WRITTEN["version 2 with imports"].replace("{folder}", str(tmp_path)).replace("*.toml", "d.toml"))
    main.write_text(main.read_text() + "restrict_oom_score_adj = true\n")
    before = dump(containerd, main) if (tmp_path / "d.toml").write_text("version = 2\n") else {}
    (tmp_path / "d.toml").write_text("version = 3\n" + CRI.format("cri.v1.runtime").replace("false", "true"))
    problem = find_difference(before, dump(containerd, main), {(): {"enable_cdi": True}})
    assert problem is not None
    assert "restrict_oom_score_adj" in problem


def dump(containerd: Path, config: Path) -> Mapping[str, Any]:
    return tomllib.loads(run(str(containerd), "--config", str(config), "config", "dump"))


def runtime(containerd: Path, config: Path) -> Runtime:
    version = run(str(containerd), "--version").split()[2].removeprefix("v")
    return Runtime(name="containerd", version=version, socket="/s", config=str(config), cdi=None)

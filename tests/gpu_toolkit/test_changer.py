"""Changes of the runtime's config on a simulated node."""

import contextlib
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest

from gpu_toolkit.edits import NOTE
from gpu_toolkit.host import Host
from gpu_toolkit.model import Cdi, Reason
from gpu_toolkit.nvidia_runtime import NEEDED
from node_core.errors import RuntimeConfigError
from node_core.values import replace
from tests.gpu_toolkit.places import CONFIGS, DROP_IN, IMPORTING, Killed, Place

OLD = (CONFIGS / "kubeadm-1.7.toml").read_text()


def start(place: Place, text: str, version: str = "2.1.9") -> dict[str, bytes | None]:
    """Starts containerd with a config. Returns the files."""
    place.version = version
    place.write(text)
    place.start()
    place.restarts = 1
    return place.files()


def test_a_runtime_with_cdi_is_not_changed(place: Place) -> None:
    files = start(place, 'version = 3\n[plugins."io.containerd.cri.v1.runtime"]\n')
    state = place.changer().apply()
    assert (state.reason, state.is_changed, place.restarts, place.files()) == (Reason.READY, False, 1, files)
    assert not (place.root / "state").exists()


def test_a_missing_switch_is_one_drop_in_and_one_restart(place: Place) -> None:
    files = start(place, IMPORTING)
    state = place.changer().apply()
    assert (state.reason, state.is_changed, place.restarts) == (Reason.READY, True, 2)
    new = place.files().keys() - files.keys()
    assert new == {"etc/containerd/conf.d", DROP_IN.lstrip("/")}
    assert place.running["plugins"]["io.containerd.cri.v1.runtime"] == {
        "enable_cdi": True,
        "restrict_oom_score_adj": True,
    }
    again = place.changer().apply()
    assert (again.reason, again.is_changed, place.restarts) == (Reason.READY, False, 2)


def test_a_runtime_that_does_not_merge_drop_ins_gets_one_changed_line(place: Place) -> None:
    files = start(place, OLD, "1.7.27")
    assert place.changer().apply().reason is Reason.READY
    assert place.files() == files | {
        "etc/containerd/config.toml": OLD.replace("enable_cdi = false", "enable_cdi = true").encode()
    }


def test_a_drop_in_that_would_hide_the_main_file_is_not_used(place: Place) -> None:
    """As containerd 2.1 does with a drop-in of another config version."""
    place._merge = lambda base, new: {**base, **new}  # type: ignore[method-assign]
    start(place, IMPORTING)
    assert place.changer().apply().reason is Reason.READY
    assert (place.host.read(DROP_IN), place.restarts) == (None, 2)
    assert b"enable_cdi = true" in (place.host.read(place.config) or b"")


def test_a_drop_in_that_the_dump_cannot_check_is_not_used(place: Place) -> None:
    """containerd 2.0.4 shows the defaults of version 3 for a config of version 2."""
    start(place, IMPORTING)
    place.dump = lambda _: {"plugins": {"io.containerd.cri.v1.runtime": {"enable_cdi": True}}}  # type: ignore[method-assign]
    assert place.changer().apply().reason is Reason.READY
    assert (place.host.read(DROP_IN), place.restarts) == (None, 2)
    assert b"enable_cdi = true" in (place.host.read(place.config) or b"")


def test_a_drop_in_of_others_is_not_replaced(place: Place) -> None:
    theirs = "[crio.runtime.runtimes.nvidia]\nruntime_path = '/usr/bin/nvidia-container-runtime'\n"
    start(place, "")
    place.write(theirs, "/etc/crio/crio.conf.d/99-nvidia.conf")
    files = place.files()
    folders = Cdi(is_enabled=True, folders=("/etc/cdi",))
    crio = replace(place.read(), name="cri-o", version="1.34.0", config="/etc/crio/crio.conf", cdi=folders)
    place.read = lambda: crio  # type: ignore[method-assign]
    state = place.changer(drop_in="/etc/crio/crio.conf.d/99-nvidia.conf").apply()
    assert (state.reason, place.restarts, place.files()) == (Reason.REFUSED, 1, files)
    assert "99-nvidia.conf exists already, and gpu-toolkit did not write it" in state.message


def test_an_old_drop_in_of_a_lost_record_is_replaced(place: Place) -> None:
    start(place, IMPORTING)
    place.write(f"{NOTE}version = 3\n", DROP_IN)
    assert place.changer().apply().reason is Reason.READY


def test_a_missing_folder_is_added_to_the_folders_of_the_runtime(place: Place) -> None:
    start(place, IMPORTING.replace("enable_cdi = false", 'cdi_spec_dirs = ["/etc/cdi"]'))
    assert place.changer().apply().reason is Reason.READY
    assert b'cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]' in (place.host.read(DROP_IN) or b"")


def test_a_runtime_without_a_config_file_gets_one(place: Place) -> None:
    place.version = "1.7.27"
    place.start()
    before = place.files()
    assert place.changer().apply().reason is Reason.READY
    assert place.host.read(place.config) == b'version = 2\n\n[plugins."io.containerd.grpc.v1.cri"]\nenable_cdi = true\n'
    place.changer().revert()
    assert place.files() == before


def test_microk8s_gets_the_change_in_its_template(place: Place) -> None:
    place.config, place.version = "/var/snap/microk8s/current/args/containerd.toml", "1.7.25"
    template = "/var/snap/microk8s/current/args/containerd-template.toml"
    text = (CONFIGS / "microk8s-template.toml").read_text()
    place.write(text, template)
    place.write(text.replace("${RUNTIME}", "runc"))
    place.start()
    files = place.files()
    assert place.changer().apply().reason is Reason.READY
    for path in (template, place.config):
        assert b"enable_cdi = true" in (place.host.read(path) or b"")
    place.changer().revert()
    assert place.files() == files


def test_k3s_with_containerd_2_gets_a_drop_in_in_its_folder(place: Place) -> None:
    place.config = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
    start(place, (CONFIGS / "k3s-2.0.toml").read_text(), "2.0.5-k3s1")
    assert place.changer().apply().reason is Reason.READY
    assert place.host.read("/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d/99-gpunode.toml")


def test_a_config_that_k3s_writes_at_each_start_is_not_changed(place: Place) -> None:
    place.config = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
    files = start(place, (CONFIGS / "k3s-1.7.toml").read_text(), "1.7.22-k3s1")
    state = place.changer().apply()
    assert (state.reason, place.restarts, place.files()) == (Reason.REFUSED, 1, files)
    assert "written by k3s or RKE2 at each start" in state.message


def test_a_config_that_breaks_the_runtime_is_put_back(place: Place) -> None:
    files = start(place, IMPORTING)
    place.dies_with = lambda config: config["plugins"]["io.containerd.cri.v1.runtime"]["enable_cdi"]
    state = place.changer().apply()
    assert (state.reason, place.files(), place.restarts, place.is_dead) == (Reason.REFUSED, files, 3, False)
    assert "The old config is back" in state.message


def test_a_change_that_failed_is_not_tried_again_until_the_config_changes(place: Place) -> None:
    start(place, IMPORTING)
    place.dies_with = lambda config: config["plugins"]["io.containerd.cri.v1.runtime"]["enable_cdi"]
    first = place.changer().apply()
    assert place.changer().apply() == first
    assert place.restarts == 3
    place.dies_with = lambda _: False
    place.write(IMPORTING + "# changed\n")
    assert place.changer().apply().reason is Reason.READY


def test_other_settings_are_a_reason_to_try_a_failed_change_again(place: Place) -> None:
    start(place, IMPORTING)
    place.restart_error = "the runtime is not a systemd unit"
    assert place.changer().apply().reason is Reason.REFUSED
    place.restart_error, place.settings = "", "with a restart command"
    assert place.changer().apply().reason is Reason.READY


def test_a_person_can_try_a_failed_change_again(place: Place) -> None:
    start(place, IMPORTING)
    place.restart_error = "systemctl failed"
    assert "systemctl failed" in place.changer().apply().message
    place.restart_error = ""
    assert place.changer().apply(again=True).reason is Reason.READY


def test_lost_containers_put_the_old_config_back(place: Place) -> None:
    files = start(place, IMPORTING)
    place.loses = frozenset({"b"})
    state = place.changer().apply()
    assert (state.reason, place.files()) == (Reason.REFUSED, files)
    assert "1 containers that ran before do not run any more" in state.message


def test_without_restarts_the_change_waits_for_one(place: Place) -> None:
    place.has_restart = False
    start(place, IMPORTING)
    for _ in range(2):
        assert place.changer().apply().reason is Reason.RESTART_NEEDED
    assert (place.restarts, place.host.read(DROP_IN) is not None) == (1, True)
    place.start()
    assert place.changer().apply().reason is Reason.READY


def test_a_switch_that_somebody_else_has_set_needs_only_a_restart(place: Place) -> None:
    start(place, OLD, "1.7.27")
    place.write(OLD.replace("enable_cdi = false", "enable_cdi=true"))
    files = place.files()
    assert place.changer().apply().reason is Reason.RESTART_NEEDED
    assert (place.files(), place.restarts) == (files, 1)


def test_a_change_that_config_management_removed_is_made_again_and_can_be_reverted(place: Place) -> None:
    start(place, OLD, "1.7.27")
    place.changer().apply()
    new = start(place, OLD.replace("pause:3.9", "pause:3.10"), "1.7.27")
    assert place.changer().apply().reason is Reason.READY
    place.changer().revert()
    assert place.files() == new


@pytest.mark.parametrize("version", ["2.1.9", "1.7.27"])
def test_revert_restores_every_byte_mode_and_folder(place: Place, version: str) -> None:
    files = start(place, IMPORTING if version > "2" else OLD, version)
    (place.root / "etc/containerd/config.toml").chmod(0o600)
    place.changer().apply()
    assert (place.root / "etc/containerd/config.toml").stat().st_mode & 0o777 == 0o600
    state = place.changer().revert()
    assert (state.reason, place.files(), place.restarts) == (Reason.REVERTED, files, 3)
    assert (place.root / "etc/containerd/config.toml").stat().st_mode & 0o777 == 0o600
    assert place.changer().revert().message == "gpu-toolkit has nothing to put back on this node."
    assert place.restarts == 3
    assert not (place.root / "state").exists()


def test_revert_writes_nothing_if_nothing_was_changed(place: Place) -> None:
    """The agent does so in each pass of the mode revert."""
    changer = place.changer()
    changer._tools.journal.lock = Mock(side_effect=AssertionError("the folder is written"))  # type: ignore[method-assign]
    assert changer.revert().reason is Reason.REVERTED


def test_revert_removes_a_lock_that_remained(place: Place) -> None:
    place.write("", "/state/toolkit.lock")
    assert place.changer().revert().reason is Reason.REVERTED
    assert not (place.root / "state").exists()


def test_revert_retains_the_records_of_others(place: Place) -> None:
    start(place, IMPORTING)
    place.changer().apply()
    place.write("x", "/state/mig.json")
    place.changer().revert()
    assert [each.name for each in (place.root / "state").iterdir()] == ["mig.json"]


def test_revert_retains_what_others_have_changed_since(place: Place) -> None:
    start(place, OLD, "1.7.27")
    place.changer().apply()
    place.write((place.host.read(place.config) or b"").replace(b"pause:3.9", b"pause:3.10") + b"\n[other]\nx = 1\n")
    place.changer().revert()
    assert place.host.read(place.config) == (OLD.replace("pause:3.9", "pause:3.10") + "\n[other]\nx = 1\n").encode()


def test_revert_retains_a_file_that_others_have_written_beside_the_drop_in(place: Place) -> None:
    start(place, IMPORTING)
    place.changer().apply()
    place.write("version = 3\n", "/etc/containerd/conf.d/50-other.toml")
    place.changer().revert()
    assert place.host.names("/etc/containerd/conf.d") == ("50-other.toml",)


def test_revert_retains_what_others_have_added_to_the_drop_in(place: Place) -> None:
    start(place, IMPORTING)
    place.changer().apply()
    place.write((place.host.read(DROP_IN) or b"") + b"enable_selinux = true\n", DROP_IN)
    place.changer().revert()
    left = place.host.read(DROP_IN) or b""
    assert b"enable_selinux = true" in left
    assert b"enable_cdi" not in left


@pytest.mark.parametrize("text", [IMPORTING, OLD], ids=["drop-in", "main file"])
@pytest.mark.parametrize("breaks", [False, True], ids=["sound", "breaks"])
def test_a_kill_at_any_step_ends_in_the_old_or_the_new_config(tmp_path: Path, text: str, breaks: bool) -> None:
    version = "2.1.9" if text is IMPORTING else "1.7.27"
    for kills_at in range(1, 30):
        root = tmp_path / str(kills_at)
        (root / "etc").mkdir(parents=True)
        place = Place(root)
        old = start(place, text, version)
        if breaks:
            place.dies_with = lambda config: "true" in str(config).lower() and _has_cdi(config)
        place.kills_at = kills_at
        try:
            place.changer().apply()
        except Killed:
            pass
        else:
            assert kills_at > 3
            return
        place.kills_at = 0
        state = place.changer().apply()
        assert (state.reason is Reason.READY, place.is_dead) == (not breaks, False)
        assert place.running == place.effective()
        place.changer().revert()
        assert (place.files(), place.running) == (old, place.effective())
        shutil.rmtree(root)
    pytest.fail("the change does not end")


def _has_cdi(config: object) -> bool:
    return "'enable_cdi': True" in str(config)


@pytest.mark.parametrize("kills_at", range(1, 8))
def test_a_kill_at_any_step_of_revert_is_completed_by_the_next_process(place: Place, kills_at: int) -> None:
    old = start(place, IMPORTING)
    place.changer().apply()
    place.steps, place.kills_at = 0, kills_at
    try:
        place.changer().revert()
    except Killed:
        place.kills_at = 0
        place.changer().revert()
    assert (place.files(), place.running, place.record.change) == (old, place.effective(), None)


def run_again_and_again(place: Place, *, mode: str) -> list[Reason]:
    """Runs a new process each time, as the kubelet does. Returns the reasons of those that were not killed."""
    reasons = []
    for _ in range(20):
        with contextlib.suppress(Killed):
            reasons.append(getattr(place.changer(), mode)().reason)
    return reasons


@pytest.mark.parametrize("text", [IMPORTING, OLD], ids=["drop-in", "main file"])
def test_a_restart_that_ends_all_containers_is_not_repeated_for_ever(place: Place, text: str) -> None:
    """As a unit with KillMode=control-group does: the restart also ends gpu-toolkit."""
    files = start(place, text, "2.1.9" if text is IMPORTING else "1.7.27")
    place.restart_kills = True
    reasons = run_again_and_again(place, mode="apply")
    assert set(reasons) == {Reason.REFUSED}
    assert (place.restarts - 1, place.files(), place.running) == (2, files, place.effective())
    assert "2 processes of gpu-toolkit ended" in place.changer().apply().message


def test_a_revert_whose_restart_ends_all_containers_restarts_once(place: Place) -> None:
    files = start(place, IMPORTING)
    place.changer().apply()
    place.restart_kills = True
    assert set(run_again_and_again(place, mode="revert")) == {Reason.REVERTED}
    assert (place.restarts - 1, place.files(), place.running) == (2, files, place.effective())


def test_a_full_disk_does_not_prevent_the_restart_with_the_old_files(place: Place) -> None:
    files = start(place, IMPORTING)
    changer = place.changer()
    changer.apply()
    changer._transaction._tools.journal.write = Mock(side_effect=RuntimeConfigError("no space left"))  # type: ignore[method-assign]
    change = place.record.change
    assert change is not None
    with pytest.raises(RuntimeConfigError, match="no space"):
        changer._transaction.undo(change)
    assert (place.files(), place.running) == (files, place.effective())


def test_what_a_killed_write_leaves_beside_the_file_is_removed(place: Place) -> None:
    old = start(place, OLD, "1.7.27")
    place.changer().apply()
    place.write("x", "/etc/containerd/.config.toml.a1b2c3d4")
    place.changer().revert()
    assert place.files() == old


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """NVIDIA's programs."""
    folder = tmp_path / "source"
    (folder / "usr/bin").mkdir(parents=True)
    for name in (*NEEDED, "nvidia-ctk", "libnvidia-container.so.1", "other"):
        (folder / "usr/bin" / name).write_text(name)
    return folder


def test_a_runtime_without_cdi_gets_nvidias_runtime(place: Place, source: Path) -> None:
    old = start(place, OLD, "1.6.36")
    assert place.changer().apply().reason is Reason.IMPOSSIBLE
    state = place.changer(source=source).apply()
    assert (state.reason, state.is_changed, place.restarts) == (Reason.LEGACY, True, 2)
    installed = {name for name in place.files() if name.startswith("usr/local/nvidia/toolkit/")}
    assert {f"usr/local/nvidia/toolkit/nvidia-container-runtime{end}" for end in ("", ".real")} <= installed
    assert not any("other" in name for name in installed)
    assert place.changer(source=source).apply().reason is Reason.LEGACY
    place.changer(source=source).revert()
    assert {name for name in place.files() if "nvidia/" not in name and name != "usr"} == old.keys()
    assert place.files()["etc/containerd/config.toml"] == OLD.encode()
    assert not (place.root / "usr/local/nvidia/toolkit").exists()


def test_a_kill_while_nvidias_runtime_is_installed_ends_in_the_old_or_the_new_state(place: Place, source: Path) -> None:
    start(place, OLD, "1.6.36")
    for kills_at in range(1, 20):
        place.steps, place.kills_at = 0, kills_at
        try:
            place.changer(source=source).apply()
        except Killed:
            place.kills_at = 0
            assert place.changer(source=source).revert().reason is Reason.REVERTED
            assert (place.host.read(place.config), place.running == place.effective()) == (OLD.encode(), True)
            assert not (place.root / "usr/local/nvidia/toolkit").exists()
        else:
            return
    pytest.fail("the change does not end")


def test_a_folder_of_others_is_not_replaced(place: Place, source: Path) -> None:
    files = start(place, OLD, "1.6.36")
    place.write("theirs", "/usr/local/nvidia/toolkit/nvidia-ctk")
    state = place.changer(source=source).apply()
    assert (state.reason, place.host.read("/usr/local/nvidia/toolkit/nvidia-ctk")) == (Reason.REFUSED, b"theirs")
    assert (place.host.read(place.config), place.restarts) == (files["etc/containerd/config.toml"], 1)
    assert "was not made by gpu-toolkit" in state.message


def test_a_folder_without_nvidias_programs_is_refused(place: Place, tmp_path: Path) -> None:
    start(place, OLD, "1.6.36")
    assert "does not contain nvidia-container-runtime" in place.changer(source=tmp_path / "none").apply().message
    assert place.restarts == 1


def test_a_config_that_is_not_toml_is_refused_with_file_and_line(place: Place) -> None:
    start(place, OLD, "1.7.27")
    place.write("version = 2\n[plugins\n")
    with pytest.raises(RuntimeConfigError, match=r"/etc/containerd/config.toml, line 2, column 9: this is not TOML"):
        place.changer().apply()
    assert place.restarts == 1


def test_a_read_only_host_is_explained_and_left_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    start(place, OLD, "1.7.27")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("gpu_toolkit.host.write_bytes_atomically", refuse)
    state = place.changer().apply()
    assert (state.reason, place.restarts, place.record.change) == (Reason.READ_ONLY, 1, None)
    assert "Talos" in state.message


def test_a_damaged_record_prevents_changes(place: Place) -> None:
    start(place, IMPORTING)
    (place.root / "state").mkdir()
    (place.root / "state/toolkit.json").write_text("{")
    with pytest.raises(RuntimeConfigError, match="is damaged"):
        place.changer().apply()
    assert place.restarts == 1


def test_two_processes_do_not_change_the_runtime_at_once(place: Place) -> None:
    start(place, IMPORTING)
    changer = place.changer()
    with changer._tools.journal.lock(), pytest.raises(RuntimeConfigError, match="another process changes the runtime"):
        place.changer().apply()


def test_a_report_needs_no_folder_for_records(place: Place) -> None:
    start(place, IMPORTING)
    assert place.changer().report().reason is Reason.SWITCH_MISSING
    assert not (place.root / "state").exists()


def test_links_with_absolute_targets_stay_below_the_root_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/containerd").symlink_to("/data")
    host = Host(tmp_path)
    host.write("/etc/containerd/config.toml", b"x")
    assert (tmp_path / "data/config.toml").read_bytes() == b"x"

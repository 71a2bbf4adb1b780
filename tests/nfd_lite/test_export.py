"""`nfd-lite --export`: the output can be applied with kubectl."""

import json
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs

from gpu_core.assembly import Dependencies
from nfd_lite import export as exporting
from nfd_lite.__main__ import parse
from nfd_lite.export import Form, What, export
from nfd_lite.settings import NfdSettings
from node_core.domain.desired import CollectorResult, Desired
from node_core.domain.features import Features
from node_core.kubectl_yaml import KubectlLoader

HARD = ("1e04", "0180", "y", "n", "off", "~", "0x1f", "1_000", "0o17", "2001-01-01", "12:30", "true", "1.5", "", "=")
DEVICES = tuple({"device": value} for value in HARD)
LABELS = {f"x/l{number}": value for number, value in enumerate(HARD) if value not in ("~", "12:30", "=")}


@pytest.mark.parametrize("what", ["features", "labels"])
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_every_value_is_read_back_as_text(monkeypatch: pytest.MonkeyPatch, what: What, form: Form) -> None:
    results = (CollectorResult(name="a", labels=LABELS),)
    desired = Desired(results=results, features=Features(instances={"pci.device": DEVICES}))
    monkeypatch.setattr(exporting, "build_collector", lambda *_: lambda _: desired)
    text = export(what, form, NfdSettings(), Dependencies.__new__(Dependencies))
    assert text is not None
    read = json.loads(text) if form == "json" else yaml.load(text, KubectlLoader)  # noqa: S506 - a safe loader
    if what == "labels":
        assert read == LABELS
    else:
        elements = read["instances"]["pci.device"]["elements"]
        assert [each["attributes"] for each in elements] == list(DEVICES)


def test_a_host_that_cannot_be_read_is_exit_status_1_without_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nfd_lite.__main__.configure_log", lambda *_: None)
    with capture_logs() as logs, pytest.raises(SystemExit) as ended:
        parse(["--export", "labels", "--host-root", str(tmp_path)])
    assert ended.value.code == 1
    assert capsys.readouterr().out == ""
    assert "does not contain the host's /proc and /sys" in logs[0]["why"]

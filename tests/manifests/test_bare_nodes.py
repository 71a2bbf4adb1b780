"""The values of docs/how-to/bare-nodes.md install every stage from the driver to the validation."""

import re

import pytest

from tests.manifests.helm import ROOT, load, named, template

PAGE = ROOT / "docs" / "how-to" / "bare-nodes.md"
OPENS_DEVICE_NODES = ("gfd", "gpu-device-plugin", "gpu-exporter", "mig-manager", "gpu-validator")


@pytest.mark.usefixtures("helm_binary")
def test_the_values_of_the_page_install_every_stage(tmp_path_factory: pytest.TempPathFactory) -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    values = tmp_path_factory.mktemp("bare") / "bare-nodes.yaml"
    values.write_text(block[1])
    objects = named(load(template(f"--values={values}")))
    assert {("Deployment", "gpu-operator"), ("NVIDIADriver", "default"), ("DaemonSet", "gpu-toolkit")} <= objects.keys()
    pods = {name: objects["DaemonSet", name]["spec"]["template"]["spec"] for name in OPENS_DEVICE_NODES}
    for name, pod in pods.items():
        assert pod["containers"][0]["securityContext"].get("privileged"), f"{name} cannot open the device nodes"
    for name in ("gpu-device-plugin", "gpu-validator"):
        assert "--device-list-strategy=cdi-cri" in pods[name]["containers"][0]["args"]

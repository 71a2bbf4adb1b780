"""Values of the charts of NVIDIA and Node Feature Discovery: each has an effect, is reported, or is refused with its counterpart."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster.errors import ClusterError
from tests.manifests.generated import POD_FIELDS
from tests.manifests.helm import CHART, Obj, helm, template

FOLDER = Path(__file__).parent / "upstream"
SCHEMA: Obj = json.loads((CHART / "values.schema.json").read_text())
VALUES: Obj = yaml.safe_load((CHART / "values.yaml").read_text())
CHARTS = sorted(path.stem for path in FOLDER.iterdir())
OF_OPERATOR = {
    "ccManager", "clusterPolicy", "draDriver", "kataSandboxDevicePlugin", "operator.runtimeClass",
    "sandboxDevicePlugin", "vfioManager", "vgpuDeviceManager",
}  # fmt: skip
LINE = re.compile(r"^- ([\w.-]+): (.+)$", re.MULTILINE)


def refused(values: Path) -> dict[str, str]:
    """Returns the refused values with their texts; empty if Helm accepts the file."""
    try:
        template(f"--values={values}")
    except ClusterError as error:
        return dict(LINE.findall(str(error)))
    return {}


def noted(values: Path) -> dict[str, str]:
    """Returns the values that the notes report as without effect."""
    notes = helm("install", "gpunode", str(CHART), "--dry-run=client", f"--values={values}").partition("\nNOTES:\n")[2]
    return dict(LINE.findall(notes))


def written(folder: Path, values: Obj) -> Path:
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def foreign_paths(schema: Obj = SCHEMA, path: str = "") -> set[str]:
    """The values that the schema accepts in any form, because the chart does not have them."""
    found = set()
    for key, below in schema["properties"].items():
        if below is True:
            found.add(f"{path}{key}")
        elif "properties" in below:
            found |= foreign_paths(below, f"{path}{key}.")
    return found


def nested(paths: set[str], value: object) -> Obj:
    found: Obj = {}
    for path in sorted(paths):
        *sections, last = path.split(".")
        section = found
        for each in sections:
            section = section.setdefault(each, {})
        section[last] = value
    return found


def switched_on(values: Obj) -> Obj:
    """Values of a section that is switched off, as this one by default, are not reported."""
    off = {
        "dcgmExporter": "enabled",
        "driver": "enabled",
        "migManager": "enabled",
        "toolkit": "enabled",
        "validator": "enabled",
        "topologyUpdater": "enable",
        "gc": "enable",
    }
    return values | {section: {**values.get(section, {}), switch: True} for section, switch in off.items()}


@pytest.fixture(scope="module")
def table(helm_binary: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The table of the chart, rendered."""
    assert helm_binary
    chart = tmp_path_factory.mktemp("chart") / "gpunode"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "table.yaml").write_text('{{ include "gpunode.upstream" . }}')
    found: dict[str, dict[str, str]] = yaml.safe_load(template("--show-only=templates/table.yaml", chart=chart))
    return found


def test_the_schema_accepts_exactly_the_values_of_the_table(table: dict[str, dict[str, str]]) -> None:
    paths = {path for kind in table.values() for path in kind}
    assert len(paths) == sum(map(len, table.values())), "a value is refused or ignored"
    topmost = {path for path in paths if not any(path.startswith(f"{other}.") for other in paths)}
    assert foreign_paths() == topmost


@pytest.mark.parametrize("chart", CHARTS)
def test_the_schema_knows_each_key_of_the_chart(chart: str) -> None:
    def compare(values: Obj, schema: Obj, path: str) -> None:
        for key, value in values.items():
            assert key in schema["properties"], f"{path}.{key}"
            below = schema["properties"][key]
            if isinstance(value, dict) and below is not True and "properties" in below:
                compare(value, below, f"{path}.{key}")

    compare(yaml.safe_load((FOLDER / f"{chart}.yaml").read_text()), SCHEMA, "")


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize(
    ("chart", "expected"),
    [
        ("device-plugin", {"image.repository", "devicePlugin.containers", "nfd.master.config", "nfd.worker.config"}),
        ("node-feature-discovery", {"image.repository"}),
        (
            "gpu-operator",
            {*OF_OPERATOR, "daemonsets", "devicePlugin.mps", "hostPaths", "mig", "node-feature-discovery"},
        ),
    ],
)
def test_of_the_defaults_of_a_chart_only_values_that_need_action_are_refused(chart: str, expected: set[str]) -> None:
    assert refused(FOLDER / f"{chart}.yaml").keys() == expected


@pytest.mark.usefixtures("helm_binary")
def test_the_rest_of_the_defaults_renders_and_is_reported(tmp_path: Path) -> None:
    values = yaml.safe_load((FOLDER / "device-plugin.yaml").read_text())
    values["image"]["repository"] = "registry.example/gpunode"
    values["devicePlugin"].pop("containers")
    values["nfd"]["master"].pop("config")
    values["nfd"]["config"] = values["nfd"]["worker"].pop("config")
    found = noted(written(tmp_path, values))
    assert found.keys() == {"mps.enableHostPID", "nfd.master", "nfd.nameOverride", "nfd.worker"}


@pytest.mark.usefixtures("helm_binary")
def test_each_value_of_the_table_is_refused_or_reported(table: dict[str, dict[str, str]], tmp_path: Path) -> None:
    paths = sorted(table["refused"])
    for some in (set(paths[start : start + 10]) for start in range(0, len(paths), 10)):  # the end of an error is shown
        found = refused(written(tmp_path, switched_on(nested(some, "x"))))
        assert found == {path: table["refused"][path] for path in some}
    assert noted(written(tmp_path, switched_on(nested(set(table["ignored"]), "x")))) == table["ignored"]


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("empty", [None, "", False, {}, []])
def test_an_empty_value_of_another_chart_has_no_effect(
    empty: object, table: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    paths = {path for kind in table.values() for path in kind}
    sections = {path for path in paths if any(other.startswith(f"{path}.") for other in paths)}
    values = written(tmp_path, nested(paths - sections, empty))
    assert template(f"--values={values}") == template()
    assert not noted(values)


@pytest.mark.usefixtures("helm_binary")
def test_values_of_a_section_that_is_switched_off_have_no_effect(tmp_path: Path) -> None:
    values = {
        "driver": {"enabled": False, "version": "1"},
        "topologyUpdater": {"enable": False, "config": {"a": "b"}},
        "master": {"enable": False, "config": {"enableTaints": True}},
    }
    assert refused(written(tmp_path, values)) == {}


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("depth", ["sections", "leaves"])
def test_null_is_the_default(depth: str, tmp_path: Path) -> None:
    def null(values: Obj) -> Obj:
        return {
            key: null(value) if isinstance(value, dict) and value and depth == "leaves" else None
            for key, value in values.items()
            if key not in POD_FIELDS
        }

    found = list(yaml.safe_load_all(template(f"--values={written(tmp_path, null(VALUES))}")))
    default = list(yaml.safe_load_all(template()))
    assert without_resources(found) == without_resources(default)


def without_resources(objects: list[Obj]) -> list[Obj]:
    """Removes the field that a null section omits from the pods."""
    for each in objects:
        if each and each["kind"] == "DaemonSet":
            for container in each["spec"]["template"]["spec"]["containers"]:
                container.pop("resources", None)
    return objects


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("field", sorted(POD_FIELDS - {"resources"}))
def test_null_omits_a_field_of_pods(field: str, tmp_path: Path) -> None:
    for each in yaml.safe_load_all(template(f"--values={written(tmp_path, {field: None})}")):
        if each and each["kind"] == "DaemonSet":
            assert field not in each["spec"]["template"]["spec"].keys() | each["spec"].keys()


@pytest.mark.usefixtures("helm_binary")
def test_feature_flags_of_cdi_may_be_a_string_with_commas(tmp_path: Path) -> None:
    for flags in ("a,b", ["a", "b"]):
        rendered = template(f"--values={written(tmp_path, {'cdi': {'featureFlags': flags}})}")
        assert "- --cdi-feature-flags=a,b\n" in rendered
    assert "cdi-feature-flags" not in template(f"--values={written(tmp_path, {'cdi': {'featureFlags': ''}})}")


@pytest.mark.usefixtures("helm_binary")
def test_a_privileged_security_context_is_one_that_kubernetes_accepts(tmp_path: Path) -> None:
    """Kubernetes refuses privileged, and SYS_ADMIN, together with allowPrivilegeEscalation: false."""
    values = {
        "gfd": {"securityContext": {"privileged": True}},
        "devicePlugin": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
    }
    contexts = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["securityContext"]
        for each in yaml.safe_load_all(template(f"--values={written(tmp_path, values)}"))
        if each and each["kind"] == "DaemonSet"
    }
    assert contexts["gfd"] == {"privileged": True, "readOnlyRootFilesystem": True, "runAsUser": 0}
    assert contexts["gpu-device-plugin"]["capabilities"] == {"add": ["SYS_ADMIN"], "drop": ["ALL"]}
    assert "allowPrivilegeEscalation" not in contexts["gpu-device-plugin"]
    assert contexts["nfd-lite"]["allowPrivilegeEscalation"] is False

"""Generates manifests from the chart. `make manifests` writes the files, and test_generated.py compares them."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import yaml

from gpunode.migrate.charts import messages
from gpunode.migrate.correspondence import Message
from tests.manifests.helm import CHART, MANIFESTS, Obj, template

HEAD = "# Generated from manifests/chart/gpunode by `make manifests`.\n"
UPSTREAM = """{{/*
Generated from the tables in gpunode/migrate by `make manifests`: values of the charts of Node Feature Discovery, NVIDIA's device plugin
and the GPU Operator that this chart does not have, by path. refused: the reader must act; the text says what to write. ignored: the value
has no effect here; NOTES.txt lists it. A value is set if it is neither null nor empty, and if its section is not switched off by enabled
or enable. values.schema.json accepts exactly these paths.
*/}}
"""
SOURCE = re.compile(r"^# Source: gpunode/(?:templates|crds)/(\S+)\n", re.MULTILINE)
HELM_LABELS = re.compile(r"^ +(?:helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
"""Labels of objects that Helm installed."""

SINGLE = ("--set=singleProcess.enabled=true", "--show-only=templates/gpunode.yaml")
TOPOLOGY = ("--set=topologyUpdater.enable=true", "--show-only=templates/nfd-lite-topology.yaml")
EXPORTER = ("--set=dcgmExporter.enabled=true", "--show-only=templates/gpu-exporter.yaml")
DRIVERS = ("--set=driver.enabled=true", "--show-only=templates/gpu-operator.yaml")
MIG = ("--set=migManager.enabled=true", "--show-only=templates/mig-manager.yaml")
TOOLKIT = ("--set=toolkit.enabled=true", "--show-only=templates/gpu-toolkit.yaml")
VALIDATOR = ("--set=validator.enabled=true", "--show-only=templates/gpu-validator.yaml")
DRA = ("--set=dra.enabled=true", "--set=devicePlugin.enabled=false", "--show-only=templates/gpu-dra-driver.yaml")
CLEANUP = ("--set=cleanup.enabled=true", "--set=networkPolicy.enabled=false")
MONITORING = ("pod-monitor.yaml", "rules.yaml", "service-monitor.yaml")
"""Files of manifests/monitoring that the chart also contains, because a chart cannot read files outside of its folder."""
POD_FIELDS = {"nodeSelector", "affinity", "tolerations", "priorityClassName", "updateStrategy", "resources"}
"""Values whose null omits the field in the pods. A null in any other place is the default."""
QUOTA = ("--set=resourceQuota.enabled=true", "--show-only=templates/resource-quota.yaml")


def render_all() -> dict[str, str]:
    """Returns the content of each generated file by its path in manifests/."""
    return {**render_chart(), **_rendered()}


def render_chart() -> dict[str, str]:
    """Returns the generated files of the chart itself, which the other files depend on."""
    defaults = yaml.safe_dump(_without_null(yaml.safe_load((CHART / "values.yaml").read_text())), sort_keys=False)
    note = "{{/* Generated from values.yaml by `make manifests`: the values that replace null. */}}\n"
    copies = {f"chart/gpunode/files/{name}": (MANIFESTS / "monitoring" / name).read_text() for name in MONITORING}
    return copies | {
        "chart/gpunode/templates/_defaults.tpl": f'{note}{{{{- define "gpunode.defaults" -}}}}\n{defaults}{{{{- end }}}}\n',
        "chart/gpunode/templates/_upstream.tpl": render_upstream(),
    }


def render_upstream() -> str:
    """Returns the messages about values of other charts, from the tables of `gpunode migrate`."""
    found = messages()
    table = {kind.value: {path: text for path, (of, text) in found.items() if of is kind} for kind in Message}
    text = yaml.safe_dump(table, sort_keys=False, width=1000)
    return f'{UPSTREAM}{{{{- define "gpunode.upstream" -}}}}\n{text}{{{{- end }}}}\n'


def _without_null(values: Obj) -> Obj:
    return {
        key: _without_null(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None and key not in POD_FIELDS
    }


def _rendered() -> dict[str, str]:
    return {
        **_below("base", split_sources(template())),
        **_below("crds", {path.name: path.read_text() for path in sorted((CHART / "crds").iterdir())}),
        **_below("overlays/single-process", split_sources(template(*SINGLE))),
        **_below("overlays/gpu-exporter", split_sources(template(*EXPORTER))),
        **_below("overlays/topology", split_sources(template(*TOPOLOGY))),
        **_below("overlays/gpu-operator", split_sources(template(*DRIVERS))),
        **_below("overlays/mig-manager", split_sources(template(*MIG))),
        **_below("overlays/gpu-toolkit", split_sources(template(*TOOLKIT))),
        **_below("overlays/gpu-validator", split_sources(template(*VALIDATOR))),
        **_below("overlays/dra", split_sources(template(*DRA))),
        **_below("cleanup", split_sources(template(*CLEANUP))),
        **_below("overlays/gke-cos", split_sources(template(*QUOTA))),
    }


def split_sources(text: str) -> dict[str, str]:
    """Splits the output of `helm template` by the file of the chart, and removes the labels of Helm."""
    files: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        source = SOURCE.match(document)
        if source is not None:
            files.setdefault(source[1], []).append(HELM_LABELS.sub("", document[source.end() :]).strip() + "\n")
    return {name: HEAD + "---\n".join(documents) for name, documents in files.items()}


def _below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {str(PurePosixPath(folder, name)): text for name, text in files.items()}

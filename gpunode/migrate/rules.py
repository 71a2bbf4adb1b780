"""Converts the values that depend on each other: the agents that run, the driver root, the config files and MPS. PURE."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpunode.migrate.charts import Chart
from gpunode.migrate.configs import check_configs, clean_nfd_config, has_mps
from gpunode.migrate.convert_source import is_off
from gpunode.migrate.correspondence import BUILD
from gpunode.migrate.device_plugin import AFFINITY
from gpunode.migrate.draft import Draft
from gpunode.migrate.gpu_operator import DRIVER_FOLDER
from gpunode.migrate.node_feature_discovery import TOLERATED
from gpunode.migrate.scheduling import correct_selectors
from gpunode.migrate.source import Source

MPS_ROOT = "/run/nvidia/mps"
"""The default of `mps.root` in NVIDIA's charts."""
NFD_SECTION = {Chart.DEVICE_PLUGIN: "nfd", Chart.GPU_OPERATOR: "node-feature-discovery"}
"""The section of a chart with the values of Node Feature Discovery."""
AGENTS = ("gfd.enabled", "devicePlugin.enabled")
SWITCHES = (*AGENTS, "dcgmExporter.enabled", "migManager.enabled", "toolkit.enabled", "driver.enabled")
"""The parts of the GPU Operator that the agents replace, besides Node Feature Discovery."""
LEAVE = "In the order of docs/how-to/migrate.md, set {} to `false`, so that two programs with the same task never run on a node."
NO_MASTER = (
    "nfd-lite evaluates the rules itself. To publish features for an nfd-master elsewhere, set `publish: node-feature`."
)
MONITOR = "If MIG devices are created while the agents run, set `migMonitor: true`, which adds SYS_ADMIN as the other chart does."
COPY = "Copy the ConfigMap to the namespace of the agents."


def apply_rules(sources: Sequence[Source], draft: Draft) -> None:
    """Adds the values that need several values of the other charts."""
    charts = {each.chart for each in sources}
    for source in sources:
        _add_nfd(source, draft)
        if source.chart is Chart.DEVICE_PLUGIN:
            _add_discovery(source, draft)
            _add_scheduling(source, draft)
        elif source.chart is Chart.GPU_OPERATOR:
            _add_driver_root(source, draft)
            _leave_operator(source, draft)
        if source.chart is not Chart.NFD:
            _add_configs(source, draft)
            _add_mps(source, draft)
            _switch_nfd(source, charts, draft)
    if charts == {Chart.NFD}:
        for path in AGENTS:
            draft.put(path, False, "the chart has no agents for GPUs")
    elif draft.get("nfd.enabled") is False:
        _run_without_nfd(sources, draft)
    if draft.get("migStrategy") in ("single", "mixed"):
        draft.advise(draft.values["migStrategy"].origins[0], MONITOR)
    clean_nfd_config(draft)
    check_configs(draft)
    correct_selectors(draft)
    draft.advise("image.repository", BUILD)


def _add_nfd(source: Source, draft: Draft) -> None:
    """Adds nfd-worker.conf and nfd-master.conf, which have no key in common, and the nodes of the worker."""
    section = NFD_SECTION.get(source.chart)
    start = "" if section is None else f"{section}."
    for name, to in (
        ("worker.config", "nfd.config"),
        ("worker.options", "nfd.config"),
        ("master.config", "nfd.config"),
        ("worker.nodeSelector", "nfd.nodeSelector"),
        ("worker.affinity", "nfd.affinity"),
    ):
        if (value := source.at(f"{start}{name}")) and not is_off(source, f"{start}{name}"):
            draft.add(to, value, source.path(f"{start}{name}"))
    path = f"{start}worker.tolerations"
    if (tolerations := source.at(path)) and not is_off(source, path):
        if "tolerations" in draft.values:
            draft.add("tolerations", tolerations, source.path(path))
        else:
            draft.drop(source.path(path), TOLERATED)
    if source.at(path := f"{start}master.enable") is False:
        draft.advise(source.path(path), NO_MASTER)


def _add_discovery(source: Source, draft: Draft) -> None:
    strategy = source.at(path := "deviceDiscoveryStrategy")
    if strategy == "vfio":
        draft.add("gfd.extraArgs", ["--device-discovery-strategy=vfio"], path)
    elif strategy:
        draft.add(path, strategy, path)


def _add_scheduling(source: Source, draft: Draft) -> None:
    """null removes the default affinity; an empty affinity does not, because Helm merges the default with the empty one."""
    if selector := source.at("nodeSelector"):
        draft.add("nodeSelector", selector, "nodeSelector")
    affinity = source.at("affinity")
    if affinity or (affinity is None and "affinity" in source.values):
        draft.add("affinity", affinity, "affinity")


def _add_driver_root(source: Source, draft: Draft) -> None:
    """The agents find the drivers of hosts, and those in the default folder of installed drivers. Any other folder must be named."""
    folder = source.at(path := "hostPaths.driverInstallDir")
    if folder in (None, "", DRIVER_FOLDER):
        folder = source.at(path := "hostPaths.rootFS") if source.at("driver.enabled") is False else None
    if folder:
        draft.add("nvidiaDriverRoot", folder, source.path(path))


def _leave_operator(source: Source, draft: Draft) -> None:
    switches = ("nfd.enabled", *SWITCHES) if not source.prefix else SWITCHES
    *first, last = (f"`{source.path(each)}`" for each in switches)
    draft.advise(source.shown, LEAVE.format(f"{', '.join(first)} and {last}"))


def _add_configs(source: Source, draft: Draft) -> None:
    is_operator = source.chart is Chart.GPU_OPERATOR
    section, files = ("devicePlugin.config", "data") if is_operator else ("config", "map")
    if is_off(source, f"{section}.name"):
        return
    config: Mapping[str, Any] = source.at(section) or {}
    is_created = bool(config.get(files)) and (not is_operator or config.get("create") is True)
    if is_created:
        draft.add("config.map", config[files], source.path(f"{section}.{files}"))
    elif name := config.get("name"):
        draft.add("config.name", name, path := source.path(f"{section}.name"))
        draft.advise(path, COPY)
    if not (default := config.get("default")):
        return
    path = source.path(f"{section}.default")
    if is_created and default not in config[files]:
        draft.advise(path, f"{default} is not the name of a config. Set `config.default` to one of the names.")
    else:
        draft.add("config.default", default, path)


def _add_mps(source: Source, draft: Draft) -> None:
    """Adds the folder of MPS if a config shares GPUs by MPS, or if the configs are in a ConfigMap."""
    name = "devicePlugin.mps.root" if source.chart is Chart.GPU_OPERATOR else "mps.root"
    root, path = source.at(name), source.path(name)
    users = [config for config, content in (draft.get("config.map") or {}).items() if has_mps(content)]
    if users:
        origin = f"the config {users[0]} shares GPUs by MPS"
        draft.add("mps.root", root or MPS_ROOT, path if root else origin)
        draft.put("privileged", True, origin)
    elif root and draft.get("config.name"):
        draft.add("mps.root", root, path)
        draft.advise(path, "If a config in the ConfigMap shares GPUs by MPS, set `privileged: true`.")
    elif root:
        draft.drop(path, "No config shares GPUs by MPS.")


def _switch_nfd(source: Source, charts: set[Chart], draft: Draft) -> None:
    """nfd-lite runs if the chart installs Node Feature Discovery, or if the chart of Node Feature Discovery is replaced as well.

    NVIDIA's device plugin chart installs Node Feature Discovery with `nfd.enabled`, or else with `gfd.enabled`.
    """
    names = ["nfd.enabled", "nfd.deploy"] + ["gfd.enabled"] * (source.chart is Chart.DEVICE_PLUGIN)
    name = next((each for each in names if isinstance(source.at(each), bool)), None)
    if name is None or Chart.NFD in charts or (name == "gfd.enabled" and source.at(name)):
        return
    draft.add("nfd.enabled", source.at(name), source.path(name))


def _run_without_nfd(sources: Sequence[Source], draft: Draft) -> None:
    """The agents wait for a label that other software sets, or run on all nodes that the affinity selects."""
    for path in [each for each in draft.values if each.startswith("nfd.") and each != "nfd.enabled"]:
        for origin in draft.values.pop(path).origins:
            draft.drop(origin, "nfd-lite does not run.")
    plugin = next((each for each in sources if each.chart is Chart.DEVICE_PLUGIN), None)
    if plugin is None:
        draft.put(
            "gateLabel", "nvidia.com/gpu.present=true", "a label of the GPU Operator, because nfd-lite does not run"
        )
        return
    draft.put("gateLabel", "", "the affinity selects the nodes, because nfd-lite does not run")
    if "affinity" not in draft.values:
        draft.put("affinity", AFFINITY, "the default of the chart, because nfd-lite does not run")

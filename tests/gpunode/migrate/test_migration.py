"""What the values of other charts become, and what is reported."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfd.labelers import DECLARED
from gpunode.migrate.charts import Chart
from gpunode.migrate.device_plugin import AFFINITY
from gpunode.migrate.migration import Migration, migrate
from gpunode.migrate.scheduling import OF_GFD
from gpunode.migrate.source import Source
from node_core.errors import SettingsError
from tests.gpunode.migrate.schema import refused_values

Values = dict[str, Any]
MPS = "version: v1\nsharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 2}]}}"


def convert(chart: Chart, values: Values, *others: Source, prefix: str = "") -> Migration:
    found = migrate([Source(chart=chart, values=values, prefix=prefix), *others])
    assert refused_values(found.nested()) == []
    return found


def plugin(values: Values, *others: Source) -> Migration:
    return convert(Chart.DEVICE_PLUGIN, values, *others)


def operator(values: Values, *others: Source) -> Migration:
    return convert(Chart.GPU_OPERATOR, values, *others)


def nfd(values: Values) -> Migration:
    return convert(Chart.NFD, values)


def actions(migration: Migration) -> dict[str, str]:
    return {value: each.why for each in migration.actions for value in each.values}


def unnecessary(migration: Migration) -> dict[str, str]:
    return {value: each.why for each in migration.unnecessary for value in each.values}


def refusal(chart: Chart, values: Values) -> str:
    with pytest.raises(SettingsError) as caught:
        migrate([Source(chart=chart, values=values)])
    return "\n".join(caught.value.problems)


def required(*keys: str) -> Values:
    terms = [{"matchExpressions": [{"key": key, "operator": "Exists"}]} for key in keys]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def test_a_value_with_the_same_name_stays_and_names_its_origin() -> None:
    found = plugin({"migStrategy": "mixed"})
    assert found.nested() == {"migStrategy": "mixed"}
    assert found.values["migStrategy"].origins == ("migStrategy",)


@pytest.mark.parametrize(("strategy", "has_advice"), [("none", False), ("single", True), ("mixed", True)])
def test_mig_devices_that_are_created_later_need_a_value(strategy: str, has_advice: bool) -> None:
    assert ("migStrategy" in actions(plugin({"migStrategy": strategy}))) is has_advice


def test_defaults_that_the_file_does_not_set_are_not_stated() -> None:
    assert plugin({"failOnInitError": True}).nested() == {}


@pytest.mark.parametrize("empty", [None, "", {}, []])
def test_an_empty_value_is_the_default(empty: object) -> None:
    paths = (
        "migStrategy",
        "nvidiaDriverRoot",
        "nodeSelector",
        "config",
        "gfd",
        "updateStrategy",
        "podAnnotations",
        "resources",
    )
    values = {path: empty for path in paths if not (path in ("config", "gfd", "updateStrategy") and empty in ("", []))}
    found = plugin(values)
    assert found.nested() == {}
    assert actions(found).keys() == {"image.repository"}


def test_null_and_an_empty_list_replace_the_default_of_some_values() -> None:
    found = plugin({"affinity": None, "tolerations": [], "priorityClassName": ""})
    assert found.nested() == {"affinity": None, "tolerations": [], "priorityClassName": ""}
    assert plugin({"affinity": {}}).nested() == {}, "Helm merges an empty mapping with the default"
    assert nfd({"priorityClassName": ""}).values.keys() == {"gfd.enabled", "devicePlugin.enabled"}


def test_values_of_a_section_that_is_switched_off_are_neither_moved_nor_reported() -> None:
    values = {"driver": {"enabled": False, "version": "1"}, "gfd": {"enabled": False, "args": ["--x"], "image": "a"}}
    found = operator(values)
    assert found.nested() == {"gfd": {"enabled": False}, "driver": {"enabled": False}}
    assert not {"driver.version", "gfd.args", "gfd.image"} & {*actions(found), *unnecessary(found)}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (
            {"migStrategy": "mixd"},
            "migStrategy: must be none, single or mixed, found the text 'mixd' (did you mean mixed?)",
        ),
        (
            {"gfd": {"sleepInterval": 60}},
            "gfd.sleepInterval: must be text, found the number 60. Put the value in quotes",
        ),
        (
            {"nodeSelector": {"a": True}},
            "nodeSelector.a: must be text, found the boolean true. Put the value in quotes",
        ),
        ({"nvidiaDriverRoot": "run"}, "nvidiaDriverRoot: must be an absolute path, found the text 'run'"),
        ({"gfd": 5}, "gfd: expected a mapping, got the number 5"),
        ({"config": {"map": {"a/b": "x"}}}, "config.map.a/b: this key must be a key of a ConfigMap"),
        ({"config": {"map": {"a": 1}}}, "config.map.a: must be text or a mapping, found the number 1"),
        ({"tolerations": {"a": 1}}, "tolerations: must be a list, found a mapping"),
        (
            {"devicePlugin": {"containers": {"main": {"env": {"A": "b"}}}}},
            "devicePlugin.containers.main.env: must be a list",
        ),
        ({"deviceListStrategy": "envvar,cdi"}, "deviceListStrategy[1]: must be auto, envvar, volume-mounts"),
    ],
)
def test_a_value_of_a_wrong_type_is_an_error_with_its_path(values: Values, why: str) -> None:
    assert why in refusal(Chart.DEVICE_PLUGIN, values)


def test_all_wrong_values_are_reported_at_once() -> None:
    assert (
        refusal(Chart.DEVICE_PLUGIN, {"migStrategy": 1, "gdsEnabled": "x", "nfd": {"worker": {"config": "a"}}}).count(
            "\n"
        )
        == 2
    )


def test_a_value_that_the_chart_does_not_have_is_reported_with_the_nearest_name() -> None:
    found = actions(plugin({"migStrategie": "none", "gfd": {"noTimestamps": True}, "extra": {}}))
    assert found["migStrategie (did you mean migStrategy?)"] == "is not a value of NVIDIA's device plugin."
    assert "gfd.noTimestamps (did you mean gfd.noTimestamp?)" in found
    assert "extra" in found


def test_of_many_unknown_values_some_are_named() -> None:
    found = actions(plugin({"migStrategy": "none", **{f"unknown{index}": 1 for index in range(50_000)}}))
    assert "unknown19" in found
    assert len([each for each in found if each.startswith("unknown")]) == 20
    assert found["49980 more"] == "is not a value of NVIDIA's device plugin."


def test_values_of_other_agents_become_values_of_all_agents() -> None:
    values = {
        "daemonsets": {
            "labels": {"a": "b"},
            "rollingUpdate": {"maxUnavailable": "2"},
            "updateStrategy": "RollingUpdate",
        },
        "devicePlugin": {"tolerations": [{"key": "x"}]},
        "gfd": {"tolerations": [{"key": "x"}, {"key": "y"}]},
    }
    found = operator(values)
    assert found.nested() == {
        "podLabels": {"a": "b"},
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}, "type": "RollingUpdate"},
        "tolerations": [{"key": "x"}, {"key": "y"}],
    }
    assert found.values["tolerations"].origins == ("devicePlugin.tolerations", "gfd.tolerations")


def test_of_two_different_values_the_first_stays_and_the_other_is_reported() -> None:
    found = plugin({"runtimeClassName": "a", "gfd": {"runtimeClassName": "b"}})
    assert found.nested() == {"runtimeClassName": "a"}
    assert actions(found)["gfd.runtimeClassName"].startswith(
        "runtimeClassName sets another `runtimeClassName`, which stays."
    )


def test_flags_and_variables_that_do_not_exist_here_are_left_out() -> None:
    args = ["--mps-root=/m", "-gdrcopy-enabled", "--v", "4", "--mig-strategie=x", "--pass-device-specs", "false"]
    env = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}, {"name": "MIG_STRATEGY", "value": "single"}]
    found = operator({"devicePlugin": {"args": args, "env": env}, "gfd": {"env": env[:1], "args": ["--x"]}})
    assert found.nested()["devicePlugin"] == {
        "extraArgs": ["--mps-root=/m", "-gdrcopy-enabled", "--pass-device-specs", "false"],
        "extraEnv": [{"name": "MIG_STRATEGY", "value": "single"}],
    }
    assert "gfd" not in found.nested()
    whys = [each.why for each in found.actions if "devicePlugin.args" in each.values]
    assert whys == [
        "--v is not a flag of gpu-device-plugin.",
        "--mig-strategie is not a flag of gpu-device-plugin (did you mean --mig-strategy?).",
    ]


@pytest.mark.parametrize(
    ("values", "root"),
    [
        ({"driver": {"enabled": True}, "hostPaths": {"rootFS": "/", "driverInstallDir": "/run/nvidia/driver"}}, None),
        ({"hostPaths": {"driverInstallDir": "/opt/driver"}}, "/opt/driver"),
        ({"driver": {"enabled": False}}, None),
        ({"driver": {"enabled": False}, "hostPaths": {"rootFS": "/", "driverInstallDir": "/run/nvidia/driver"}}, "/"),
        (
            {"driver": {"enabled": False}, "hostPaths": {"driverInstallDir": "/home/kubernetes/bin/nvidia"}},
            "/home/kubernetes/bin/nvidia",
        ),
    ],
)
def test_the_driver_root_depends_on_who_installs_the_driver(values: Values, root: str | None) -> None:
    assert operator(values).nested().get("nvidiaDriverRoot") == root


@pytest.mark.parametrize("gfd", [True, None])
def test_nfd_lite_runs_if_the_chart_installs_nfd(gfd: bool | None) -> None:
    assert "nfd" not in plugin({"gfd": {"enabled": gfd}}).nested()
    assert plugin({"nfd": {"enabled": True}}).nested() == {"nfd": {"enabled": True}}


@pytest.mark.parametrize("values", [{"nfd": {"enabled": False}}, {"gfd": {"enabled": False}}])
def test_without_nfd_the_agents_do_not_wait_for_its_label(values: Values) -> None:
    found = plugin({**values, "migStrategy": "none"}).nested()
    assert (found["nfd"], found["gateLabel"], found["affinity"]) == ({"enabled": False}, "", AFFINITY)
    own = required("pool")
    assert plugin({**values, "affinity": own}).nested()["affinity"] == own
    assert plugin({**values, "affinity": None}).nested()["affinity"] is None


def test_without_nfd_the_label_of_the_operator_is_the_gate() -> None:
    config = {"worker": {"config": {"sources": {"pci": {"deviceLabelFields": ["vendor"]}}}}}
    found = operator({"nfd": {"enabled": False}, "node-feature-discovery": config})
    assert found.nested() == {"nfd": {"enabled": False}, "gateLabel": "nvidia.com/gpu.present=true"}
    assert unnecessary(found)["node-feature-discovery.worker.config"] == "nfd-lite does not run."


def test_nfd_lite_runs_if_the_chart_of_nfd_is_replaced_as_well() -> None:
    source = Source(chart=Chart.NFD, values={"worker": {"config": {"core": {"sleepInterval": "30s"}}}})
    found = plugin({"nfd": {"enabled": False}, "gfd": {"enabled": True}}, source).nested()
    assert found == {"gfd": {"enabled": True}, "nfd": {"config": {"core": {"sleepInterval": "30s"}}}}


def test_the_chart_of_nfd_alone_installs_no_agents_for_gpus() -> None:
    found = nfd({"worker": {"enable": False}, "master": {"enable": False}})
    assert found.nested() == {"nfd": {"enabled": False}, "gfd": {"enabled": False}, "devicePlugin": {"enabled": False}}
    assert "nfd-lite evaluates the rules itself." in actions(found)["master.enable"]


def test_a_config_that_shares_by_mps_needs_a_folder_and_privileges() -> None:
    found = plugin({"config": {"map": {"a": "version: v1", "b": MPS}}, "mps": {"root": "/m"}})
    assert found.nested()["mps"] == {"root": "/m"}
    assert found.nested()["privileged"] is True
    assert plugin({"config": {"map": {"b": MPS}}}).nested()["mps"] == {"root": "/run/nvidia/mps"}


def test_without_mps_its_folder_is_not_necessary() -> None:
    found = plugin({"config": {"map": {"a": "version: v1"}}, "mps": {"root": "/m"}})
    assert "mps" not in found.nested()
    assert unnecessary(found)["mps.root"] == "No config shares GPUs by MPS."
    named = plugin({"config": {"name": "c"}, "mps": {"root": "/m"}})
    assert named.nested() == {"config": {"name": "c"}, "mps": {"root": "/m"}}
    assert "set `privileged: true`" in actions(named)["mps.root"]


def test_an_operator_creates_the_config_map_or_names_one() -> None:
    config = {"name": "c", "default": "a", "data": {"a": "version: v1"}}
    created = operator({"devicePlugin": {"config": config | {"create": True}}})
    assert created.nested() == {"config": {"map": {"a": "version: v1"}, "default": "a"}}
    named = operator({"devicePlugin": {"config": config}})
    assert named.nested() == {"config": {"name": "c", "default": "a"}}
    assert actions(named)["devicePlugin.config.name"] == "Copy the ConfigMap to the namespace of the agents."


def test_a_default_config_that_does_not_exist_is_reported() -> None:
    found = plugin({"config": {"map": {"a": "version: v1"}, "default": "b"}})
    assert found.nested() == {"config": {"map": {"a": "version: v1"}}}
    assert actions(found)["config.default"].startswith("b is not the name of a config.")


@pytest.mark.parametrize("content", ["flags: {migStrategie: mixed}", {"flags": {"migStrategie": "mixed"}}])
def test_a_config_that_the_agents_refuse_is_a_problem_and_stays(content: object) -> None:
    found = plugin({"config": {"map": {"a": content}}})
    assert found.problems == ("config.map.a: flags.migStrategie: unknown key (did you mean migStrategy?)",)
    assert found.nested()["config"]["map"]["a"] == content


def test_the_keys_of_both_files_of_nfd_become_one_config() -> None:
    values = {
        "worker": {"config": {"core": {"sleepInterval": "30s", "klog": {"v": 1}}}},
        "master": {
            "config": {
                "extraLabelNs": ["a.example"],
                "denyLabelNs": ["b"],
                "enableTaints": True,
                "noPublish": True,
                "resyncPeriod": "1h",
            }
        },
    }
    found = nfd(values)
    assert found.nested()["nfd"] == {
        "extraLabelNs": ["a.example"],
        "denyLabelNs": ["b"],
        "enableTaints": True,
        "config": {"core": {"sleepInterval": "30s"}, "noPublish": True},
    }
    assert unnecessary(found)["worker.config.core.klog"] == "use --log-level and --log-format."
    assert unnecessary(found)["master.config.resyncPeriod"].startswith("nfd-lite evaluates rules")


def test_a_config_of_nfd_that_nfd_lite_refuses_is_a_problem() -> None:
    found = nfd({"worker": {"config": {"core": {"sleepIntervall": "1m"}}}})
    assert found.problems == ("nfd.config: core.sleepIntervall: unknown key (did you mean sleepInterval?)",)


def test_the_selector_of_namespaces_is_removed_because_nfd_lite_would_not_start() -> None:
    restrictions = {"allowOverwrite": False, "nodeFeatureNamespaceSelector": {"matchLabels": {}}}
    found = nfd({"master": {"config": {"restrictions": restrictions}}})
    assert found.nested()["nfd"] == {"config": {"restrictions": {"allowOverwrite": False}}}
    assert "RBAC" in actions(found)["master.config.restrictions.nodeFeatureNamespaceSelector"]
    assert restrictions["nodeFeatureNamespaceSelector"] is not None, "the input does not change"


def test_a_label_of_gfd_selects_the_nodes_of_the_device_plugin_only() -> None:
    selector = {"nvidia.com/gpu.product": "A100", "nvidia.com/gpu.present": "true", "pool": "a"}
    assert plugin({"nodeSelector": selector}).nested() == {
        "nodeSelector": {"nvidia.com/gpu.present": "true", "pool": "a"},
        "devicePlugin": {"nodeSelector": {"nvidia.com/gpu.product": "A100"}},
    }
    assert (
        plugin({"nodeSelector": selector, "gfd": {"enabled": False}, "nfd": {"enabled": True}}).nested()["nodeSelector"]
        == selector
    )


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"affinity": required("nvidia.com/gpu.product", "nvidia.com/gpu.count")}, "affinity"),
        (
            {"nfd": {"worker": {"nodeSelector": {"feature.node.kubernetes.io/pci-10de.present": "true"}}}},
            "nfd.worker.nodeSelector",
        ),
        ({"nfd": {"worker": {"affinity": required("nvidia.com/gpu.present")}}}, "nfd.worker.affinity"),
    ],
)
def test_an_agent_does_not_wait_for_a_label_that_it_publishes_itself(values: Values, path: str) -> None:
    found = plugin(values)
    assert found.nested() == {}
    assert "would never start on a new Node" in actions(found)[path]


def test_every_label_of_gfd_is_known() -> None:
    assert [each.key for each in DECLARED if not OF_GFD.match(each.key)] == []
    for key in (
        "nvidia.com/gpu.present",
        "nvidia.com/mig.config",
        "nvidia.com/gpu.deploy.driver",
        "example.com/gpu.count",
    ):
        assert not OF_GFD.match(key)


def test_an_affinity_with_another_choice_stays() -> None:
    values = {"affinity": required("nvidia.com/gpu.product", "pool")}
    assert plugin(values).nested() == values


def test_a_label_of_nvidias_nfd_is_published_if_something_selects_it() -> None:
    selector = {"feature.node.kubernetes.io/pci-10de.present": "true"}
    found = plugin({"nodeSelector": selector})
    assert found.nested()["nfd"] == {"config": {"sources": {"pci": {"deviceLabelFields": ["vendor"]}}}}
    fields = {"worker": {"config": {"sources": {"pci": {"deviceLabelFields": ["class"]}}}}}
    assert "deviceLabelFields: [vendor]" in actions(plugin({"nodeSelector": selector, "nfd": fields}))["nodeSelector"]


def test_tolerations_of_the_worker_are_added_only_to_a_list() -> None:
    worker = {"nfd": {"worker": {"tolerations": [{"key": "a"}]}}}
    assert plugin({"tolerations": [], **worker}).nested() == {"tolerations": [{"key": "a"}]}
    found = plugin(worker)
    assert found.nested() == {}
    assert "tolerates every taint" in unnecessary(found)["nfd.worker.tolerations"]


def test_a_strategy_of_gfd_alone_becomes_a_flag() -> None:
    assert plugin({"deviceDiscoveryStrategy": "vfio"}).nested() == {
        "gfd": {"extraArgs": ["--device-discovery-strategy=vfio"]}
    }
    assert plugin({"deviceDiscoveryStrategy": "tegra"}).nested() == {"deviceDiscoveryStrategy": "tegra"}


def test_the_fields_of_a_cluster_policy_have_their_paths() -> None:
    found = convert(
        Chart.GPU_OPERATOR, {"mig": {"strategy": "single"}, "dcgm": {"enabled": True}, "x": 1}, prefix="spec."
    )
    assert found.values["migStrategy"].origins == ("spec.mig.strategy",)
    assert {"spec.dcgm", "spec.x", "a ClusterPolicy"} <= actions(found).keys()
    assert (
        "`spec.gfd.enabled`, `spec.devicePlugin.enabled`, `spec.dcgmExporter.enabled`, `spec.migManager.enabled`,"
        " `spec.toolkit.enabled` and `spec.driver.enabled`" in actions(found)["a ClusterPolicy"]
    )


def test_a_section_with_few_values_without_counterpart_names_them() -> None:
    few = unnecessary(nfd({"master": {"port": 1, "replicaCount": 2, "enable": True}}))
    assert {"master.port", "master.replicaCount"} <= few.keys()
    many = unnecessary(
        nfd({"master": {"port": 1, "replicaCount": 2, "annotations": {"a": "b"}, "rbac": {"create": True}}})
    )
    assert "master" in many
    assert "master.port" not in many


PATHS = sorted({(chart, row.path) for chart in Chart for row in chart.rows})
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(["", "a", "/a", "mixed", "envvar", "1.5", "a\x1b[2J", "nvidia.com/gpu.count"]),
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "a", "enabled", "core", "nvidia.com/gpu.x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from(PATHS), ANYTHING), max_size=6))
def test_the_chart_accepts_the_result_for_any_values(changes: list[tuple[tuple[Chart, str], Any]]) -> None:
    values: dict[Chart, Values] = {}
    for (chart, path), value in changes:
        *sections, last = path.split(".")
        section: Any = values.setdefault(chart, {})
        for each in sections:
            section = section.setdefault(each, {}) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section[last] = value
    try:
        found = migrate([Source(chart=chart, values=each) for chart, each in values.items()])
    except SettingsError:
        return
    assert refused_values(found.nested()) == []

"""The chart: invalid values are refused, and valid values become flags, mounts and objects."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu_operator.spec import decode_spec
from gpunode.cleanup.command import command as cleanup_command
from node_core.runtime.command import parse_command
from node_core.version import VERSION
from tests.e2e.cluster.errors import ClusterError
from tests.manifests.helm import CHART, MANIFESTS, Obj, helm, load, named, template
from tests.manifests.test_agents import COMMANDS

VALUES: Obj = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Obj = json.loads((CHART / "values.schema.json").read_text())
EXPORTER: Obj = {"enabled": True}
FREE = {"global"}
"""What Helm itself puts among the values."""

pytestmark = pytest.mark.usefixtures("helm_binary")


def options(values: Obj) -> list[str]:
    return [f"--set-json={key}={json.dumps(value)}" for key, value in values.items()]


def rendered(values: Obj) -> dict[tuple[str, str], Obj]:
    return named(load(template(*options(values))))


def container(values: Obj, agent: str) -> Obj:
    (only,) = rendered(values)["DaemonSet", agent]["spec"]["template"]["spec"]["containers"]
    found: Obj = only
    return found


def test_the_chart_lints() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_chart_has_the_version_of_the_programs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_the_schema_contains_exactly_the_values() -> None:
    """Besides values of other charts, for which see test_upstream_values.py."""

    def compare(values: Obj, schema: Obj, path: str) -> None:
        own = {key for key, below in schema["properties"].items() if below is not True}
        assert values.keys() == own - FREE, path
        assert schema["additionalProperties"] is False, path
        for key, value in values.items():
            if "properties" in (below := schema["properties"][key]) and key != "updateStrategy":
                compare(value, below, f"{path}.{key}")

    compare(VALUES, SCHEMA, "")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"failOnInitErrors": True}, "failOnInitErrors"),
        ({"gfd": {"enable": True}}, "/gfd"),
        ({"migStrategy": "auto"}, "/migStrategy"),
        ({"migManager": {"pauseComponents": ["driver"]}}, "/migManager/pauseComponents/0"),
        ({"migManager": {"pauseComponents": ["no/name"]}}, "/migManager/pauseComponents/0"),
        ({"deviceListStrategy": ["cdi"]}, "/deviceListStrategy"),
        ({"deviceListStrategy": "cdi"}, "/deviceListStrategy"),
        ({"deviceListStrategy": "envvar,cdi"}, "/deviceListStrategy"),
        ({"deviceListStrategy": "auto,envvar"}, "/deviceListStrategy"),
        ({"deviceListStrategy": ["auto", "envvar"]}, "/deviceListStrategy"),
        ({"nvidiaDriverRoot": "run/nvidia"}, "/nvidiaDriverRoot"),
        ({"nvidiaDriverRoot": None, "image": {"tag": 1}}, "/image/tag"),
        ({"nodeSelector": {"a": 1}}, "/nodeSelector/a"),
        ({"networkPolicy": {"apiServerPorts": []}}, "/networkPolicy/apiServerPorts"),
        ({"privileged": "yes"}, "/privileged"),
        ({"metrics": {"auth": True}}, "'/metrics': missing property 'tlsSecret'"),
        ({"config": {"map": {"a": "version: v1"}, "name": "b"}}, "config: map and name"),
        ({"config": {"map": {"default": "garbage"}}}, "config.map.default: the text is not a YAML mapping"),
        ({"config": {"map": {"default": "- version: v1"}}}, "config.map.default: the text is not a YAML mapping"),
        ({"config": {"map": {"a": "{", "b": "version: v1"}}}, "config.map.a: the text is not a YAML mapping"),
        ({"config": {"map": {"a": "version: v2"}}}, "config.map.a: version v2 is not supported. Use v1."),
        ({"config": {"map": {"a/b": ""}}}, "a/b"),
        ({"config": {"map": {"a": "", "b": ""}, "default": "c"}}, 'config.default: "c" is not a name .* a, b'),
        ({"simulate": "h100x9"}, "'/simulate': value must be one of .*'h100x8'"),
        ({"devicePlugin": {"startupTaint": "foo"}}, 'devicePlugin.startupTaint: "foo" is not a taint. Use key:effect'),
        (
            {"devicePlugin": {"startupTaint": "a b:NoSchedule"}},
            'devicePlugin.startupTaint: "a b:NoSchedule" is not a taint',
        ),
        ({"gfd": {"sleepInterval": "1d"}}, "/gfd/sleepInterval"),
        ({"gfd": {"sleepInterval": "often"}}, "/gfd/sleepInterval"),
        ({"devicePlugin": {"startupTaint": "a:b"}}, 'devicePlugin.startupTaint: "a:b" is not a taint'),
        ({"gateLabel": "a=b=c"}, 'gateLabel: "a=b=c" is not a label. Use key=value'),
        ({"gateLabel": "a=b c"}, 'gateLabel: "a=b c" is not a label. Use key=value'),
        ({"gateLabel": "-a=b"}, 'gateLabel: "-a=b" is not a label. Use key=value'),
        ({"image": {"repository": "nvcr.io/nvidia/k8s-device-plugin"}}, "image.repository: .* does not contain"),
        ({"singleProcess": {"enabled": True}, "publish": "node-feature"}, "singleProcess: supports only publish: node"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_value_is_refused_with_its_name(values: Obj, named: str) -> None:
    with pytest.raises(ClusterError, match=named):
        rendered(values)


@pytest.mark.parametrize(
    ("values", "agent", "flags"),
    [
        ({"migStrategy": "mixed"}, "gfd", {"mig_strategy": "mixed"}),
        ({"migStrategy": "mixed"}, "gpu-device-plugin", {"mig_strategy": "mixed"}),
        ({"deviceListStrategy": "envvar"}, "gpu-device-plugin", {"device_list_strategy": ("envvar",)}),
        (
            {"deviceListStrategy": ["envvar", "cdi-cri"]},
            "gpu-device-plugin",
            {"device_list_strategy": ("envvar", "cdi-cri")},
        ),
        ({"deviceIDStrategy": "index"}, "gpu-device-plugin", {"device_id_strategy": "index"}),
        ({"deviceDiscoveryStrategy": "nvml"}, "gfd", {"device_discovery_strategy": "nvml"}),
        ({"nvidiaDriverRoot": "/opt/nvidia"}, "gpu-device-plugin", {"driver_root": "/opt/nvidia"}),
        ({"nvidiaDevRoot": "/"}, "gpu-device-plugin", {"dev_root": "/"}),
        (
            {"gdrcopyEnabled": True, "gdsEnabled": True, "mofedEnabled": False},
            "gpu-device-plugin",
            {"gdrcopy_enabled": True, "gds_enabled": True, "mofed_enabled": False},
        ),
        ({"compatWithCPUManager": True}, "gpu-device-plugin", {"pass_device_specs": True}),
        ({"mps": {"root": "/run/nvidia/mps"}}, "gpu-device-plugin", {"mps_root": "/run/nvidia/mps"}),
        ({"cdi": {"nvidiaHookPath": "/h"}}, "gpu-device-plugin", {"nvidia_cdi_hook_path": "/h"}),
        (
            {"devicePlugin": {"startupTaint": "nvidia.com/gpu-not-ready:NoSchedule"}},
            "gpu-device-plugin",
            {"startup_taint": "nvidia.com/gpu-not-ready:NoSchedule"},
        ),
        ({"gfd": {"noTimestamp": True}}, "gfd", {"no_timestamp": True}),
        ({"gfd": {"sleepInterval": "90s"}}, "gfd", {"sleep_interval": 90.0}),
        ({"publish": "node-feature"}, "gfd", {"publish": "node-feature"}),
        ({"publish": "node-feature"}, "nfd-lite", {"publish": "node-feature"}),
        (
            {"nfd": {"enableTaints": True, "mergeNodeFeatures": True}},
            "nfd-lite",
            {"enable_taints": True, "merge_node_features": True},
        ),
        ({"nfd": {"extraLabelNs": ["a.io", "b.io"]}}, "nfd-lite", {"extra_label_ns": ("a.io", "b.io")}),
        ({"logLevel": "debug", "simulate": "t4x1"}, "nfd-lite", {"log_level": "debug", "simulate": "t4x1"}),
        ({"gfd": {"extraArgs": ["--log-format=json"]}}, "gfd", {"log_format": "json"}),
        (
            {
                "dcgmExporter": {
                    **EXPORTER, "enablePodLabels": True, "enablePodUID": True, "podLabelAllowlistRegex": ["^app$", "^team$"],
                }
            },
            "gpu-exporter",
            {
                "kubernetes_enable_pod_labels": True,
                "kubernetes_enable_pod_uid": True,
                "kubernetes_pod_label_allowlist_regex": ("^app$", "^team$"),
            },
        ),
        (
            {"dcgmExporter": EXPORTER, "singleProcess": {"enabled": True}},
            "gpunode",
            {"address": ":9400"},
        ),
        ({"singleProcess": {"enabled": True}}, "gpunode", {"address": ""}),
        (
            {"migManager": {"enabled": True, "busyPolicy": "evict", "config": {"name": "layouts"}}},
            "mig-manager",
            {"mig_busy_policy": "evict", "mig_config_file": Path("/etc/gpunode/mig-configs")},
        ),
        ({"migManager": {"enabled": True, "withReboot": True}}, "mig-manager", {"mig_with_reboot": True}),
        (
            {"migManager": {"enabled": True, "pauseComponents": ["dcgm"], "stopHostServices": True}},
            "mig-manager",
            {"mig_pause_components": ("dcgm",), "mig_stop_host_services": True},
        ),
        (
            {"migManager": {"enabled": True, "stopHostServices": True, "gpuClientsConfig": {"name": "c"}}},
            "mig-manager",
            {"mig_gpu_clients_file": Path("/etc/gpunode/mig-clients/clients.yaml")},
        ),
        ({"migManager": {"enabled": True}}, "gpu-device-plugin", {"wait_for_mig_manager": True}),
        (
            {"toolkit": {"enabled": True, "mode": "revert", "restartCommand": "sv restart 'a b'"}, "cdi": {"dir": "/run/cdi"}},
            "gpu-toolkit",
            {
                "toolkit_mode": "revert", "runtime_restart_mode": "command", "runtime_restart_command": ("sv", "restart", "a b"),
                "cdi_dir": "/run/cdi",
            },
        ),
        ({"migManager": {"enabled": True}, "singleProcess": {"enabled": True}}, "gpunode", {"wait_for_mig_manager": True}),
        (
            {"singleProcess": {"enabled": True}, "migStrategy": "single", "nfd": {"denyLabelNs": ["x.io"]}},
            "gpunode",
            {"mig_strategy": "single", "deny_label_ns": ("x.io",)},
        ),
    ],
)  # fmt: skip
def test_a_value_becomes_a_flag_of_the_program(values: Obj, agent: str, flags: dict[str, Any]) -> None:
    found = container(values, agent)
    parsed = parse_command(COMMANDS[tuple(found["command"])], found["args"], agent)
    assert parsed is not None
    actual = {name: str(parsed[name]) if isinstance(flags[name], str) else parsed[name] for name in flags}
    assert actual == {name: type(actual[name])(value) for name, value in flags.items()}


def test_configs_are_mounted_in_gfd_and_the_plugin() -> None:
    values: Obj = {"config": {"map": {"a": "version: v1\n"}, "default": "a", "fallbackStrategies": ["named"]}}
    objects = rendered(values)
    assert objects["ConfigMap", "gpunode-configs"]["data"] == {"a": "version: v1\n"}
    for agent in ("gfd", "gpu-device-plugin"):
        expected = ["--config-dir=/etc/gpunode/configs", "--default-config=a", "--fallback-strategies=named"]
        assert set(expected) <= set(container(values, agent)["args"])
        assert mounts(values, agent)["configs"] == ["/etc/gpunode/configs"]
    assert "configs" not in mounts(values, "nfd-lite")
    other: Obj = {"config": {"name": "other"}}
    (volume,) = [each for each in volumes(other, "gfd") if each["name"] == "configs"]
    assert volume["configMap"] == {"name": "other"}
    assert ("ConfigMap", "gpunode-configs") not in rendered(other)


def test_premium_rules_become_an_object_and_enable_taints() -> None:
    rule = {"name": "big", "labels": {"nvidia.com/gpu.premium": "true"}}
    objects = rendered({"premium": {"rules": [rule]}})
    assert objects["NodeFeatureRule", "gpunode-premium"]["spec"] == {"rules": [rule]}
    assert "--enable-taints=true" in container({"premium": {"rules": [rule]}}, "nfd-lite")["args"]
    disabled = {"premium": {"rules": [rule]}, "nfd": {"enableTaints": False}}
    assert "--enable-taints=false" in container(disabled, "nfd-lite")["args"], "an explicit value wins"
    assert ("NodeFeatureRule", "gpunode-premium") not in rendered({})
    assert not any("taints" in argument for argument in container({}, "nfd-lite")["args"])


def test_the_nfd_config_becomes_a_file_of_nfd_lite() -> None:
    values: Obj = {"nfd": {"config": {"core": {"sleepInterval": "90s"}}}}
    text = rendered(values)["ConfigMap", "nfd-lite-config"]["data"]["nfd-worker.conf"]
    assert yaml.safe_load(text) == values["nfd"]["config"]
    assert "--config=/etc/gpunode/nfd-worker/nfd-worker.conf" in container(values, "nfd-lite")["args"]
    assert mounts(values, "nfd-lite")["nfd-worker"] == ["/etc/gpunode/nfd-worker"]


@pytest.mark.parametrize("agent", ["nfd-lite", "gfd", "gpu-device-plugin", "gpu-exporter"])
def test_metrics_can_use_tls_and_authentication(agent: str) -> None:
    values: Obj = {"metrics": {"tlsSecret": "certificates", "auth": True}, "dcgmExporter": EXPORTER}
    found = container(values, agent)
    parsed = parse_command(COMMANDS[tuple(found["command"])], found["args"], agent)
    assert parsed is not None
    assert parsed["metrics_auth"] is True
    (folder,) = mounts(values, agent)["tls"]
    assert {str(parsed[name].parent) for name in ("tls_cert_file", "tls_private_key_file")} == {folder}
    assert {found[probe]["httpGet"]["scheme"] for probe in ("livenessProbe", "readinessProbe")} == {"HTTPS"}
    (volume,) = [each for each in volumes(values, agent) if each["name"] == "tls"]
    assert volume["secret"] == {"secretName": "certificates"}
    subjects = rendered(values)["ClusterRoleBinding", "gpunode-metrics"]["subjects"]
    assert agent in {each["name"] for each in subjects}
    assert ("ClusterRole", "gpunode-metrics") not in rendered({"metrics": {"tlsSecret": "certificates"}})


def test_the_rights_of_people_can_be_part_of_the_role_view() -> None:
    label = "rbac.authorization.k8s.io/aggregate-to-view"
    role = ("ClusterRole", "gpunode-viewer")
    assert rendered({"viewer": {"aggregateToView": True}})[role]["metadata"]["labels"][label] == "true"
    assert label not in rendered({})[role]["metadata"]["labels"]


def test_the_policies_depend_on_namespace_startup_taint_and_label_namespaces() -> None:
    sets = ("devicePlugin.startupTaint=example.com/wait=1:NoSchedule", "nfd.extraLabelNs={x.kubernetes.io,y.k8s.io}")
    text = template(
        "--namespace=elsewhere", *(f"--set={each}" for each in sets), "--show-only=templates/admission.yaml"
    )
    assert "'system:serviceaccount:elsewhere:gfd'" in text
    assert "serviceaccount:gpunode:" not in text
    assert "t.matches('^example[.]com/wait[=:]')" in text
    assert "gpu-not-ready" not in text.partition("apiVersion")[2]
    assert "|| k.startsWith('x.kubernetes.io/')" in text
    assert "|| k.startsWith('y.k8s.io/')" in text
    kinds = {kind for kind, _ in rendered({"admissionPolicies": {"enabled": False}})}
    assert not {kind for kind in kinds if kind.startswith("Validating")}


def test_each_scenario_can_be_simulated() -> None:
    names = {path.stem for path in (MANIFESTS.parent / "simulation" / "scenarios").glob("*.yaml")}
    assert set(SCHEMA["properties"]["simulate"]["enum"]) == {*names, "", None}


def test_a_config_may_be_null_which_means_absent() -> None:
    assert rendered({"config": {"map": {"a": None, "b": ""}}})["ConfigMap", "gpunode-configs"]["data"].keys() == {"b"}


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_value_is_the_default(value: str | None) -> None:
    """Upstream's values files contain both forms."""
    names = (
        "migStrategy", "deviceListStrategy", "deviceIDStrategy", "deviceDiscoveryStrategy", "nvidiaDriverRoot",
        "nvidiaDevRoot", "runtimeClassName", "kubeletRootDir", "simulate", "publish", "logLevel",
    )  # fmt: skip
    sections: Obj = {
        "image": {"repository": value, "tag": value, "pullPolicy": value},
        "cdi": {"dir": value, "nvidiaHookPath": value, "featureFlags": value},
        "config": {"name": value, "default": value},
        "mps": {"root": value},
        "devicePlugin": {"startupTaint": value},
    }
    assert rendered(dict.fromkeys(names, value) | sections) == rendered({})


def test_a_config_may_also_be_written_as_values() -> None:
    config = {"version": "v1", "flags": {"migStrategy": "single"}}
    text = rendered({"config": {"map": {"a": config}}})["ConfigMap", "gpunode-configs"]["data"]["a"]
    assert yaml.safe_load(text) == config


def test_the_prometheus_objects_are_those_of_the_monitoring_folder() -> None:
    values: Obj = {
        "prometheus": {"enable": True, "labels": {"release": "a"}, "scrapeInterval": "9s"},
        "metrics": {"tlsSecret": "b"},
    }
    found = rendered(values)
    for kind, name in (("PodMonitor", "pod-monitor"), ("PrometheusRule", "rules")):
        source = yaml.safe_load((MANIFESTS / "monitoring" / f"{name}.yaml").read_text())
        actual = found[kind, source["metadata"]["name"]]
        assert actual["metadata"]["labels"]["release"] == "a"
        if kind == "PodMonitor":
            (endpoint,) = source["spec"]["podMetricsEndpoints"]
            endpoint |= {"interval": "9s", "scheme": "https"}
        assert actual["spec"] == source["spec"]
    kinds = {kind for kind, _ in rendered({})} | {
        kind for kind, _ in rendered({**values, "cleanup": {"enabled": True}})
    }
    assert not {"PodMonitor", "PrometheusRule"} & kinds


def test_the_notes_report_an_image_that_is_in_no_registry() -> None:
    def notes(*values: str) -> str:
        return helm("install", "g", str(CHART), "--dry-run=client", *values).partition("\nNOTES:\n")[2]

    assert "The image gpunode is in no registry" in notes()
    assert "in no registry" not in notes("--set=image.repository=registry.example/gpunode")


def test_mps_folders_are_mounted_at_the_paths_of_the_plugin() -> None:
    found = mounts({"mps": {"root": "/run/nvidia/mps"}}, "gpu-device-plugin")
    assert (found["mps"], found["mps-shm"]) == (["/mps"], ["/dev/shm"])
    assert "mps" not in mounts({"mps": {"root": "/run/nvidia/mps"}}, "gfd")


def test_the_dra_driver_has_its_own_mps_folder() -> None:
    values = {"mps": {"root": "/run/nvidia/mps"}, "dra": {"enabled": True}, "devicePlugin": {"enabled": False}}
    found = mounts(values, "gpu-dra-driver")
    assert (found["dra-mps"], found["dra-mps-shm"]) == (["/mps"], ["/dev/shm"])
    assert "dra-mps" not in mounts({**values, "mps": {"root": None}}, "gpu-dra-driver")


def test_the_hook_program_outside_of_the_driver_root_is_mounted_because_the_plugin_reads_its_hooks() -> None:
    hook = {"nvidiaHookPath": "/usr/local/nvidia/toolkit/nvidia-cdi-hook"}
    own = {"nvidiaDriverRoot": "/run/nvidia/driver", "cdi": hook}
    mounts = {each["name"]: each["mountPath"] for each in container(own, "gpu-device-plugin")["volumeMounts"]}
    paths = {each["name"]: each.get("hostPath", {}).get("path") for each in volumes(own, "gpu-device-plugin")}
    assert (mounts["hook"], paths["hook"]) == ("/host/usr/local/nvidia/toolkit", "/usr/local/nvidia/toolkit")
    for values in ({"cdi": hook}, {**own, "cdi": {}}, {**own, "cdi": {"nvidiaHookPath": "/h"}}):
        assert "hook" not in {each["name"] for each in volumes(values, "gpu-device-plugin")}


def test_the_fields_of_the_exporter_come_from_a_config_map_of_dcgm_exporter() -> None:
    values: Obj = {"dcgmExporter": {**EXPORTER, "config": {"name": "fields"}}}
    for with_process in (values, {**values, "singleProcess": {"enabled": True}}):
        agent = "gpunode" if "singleProcess" in with_process else "gpu-exporter"
        assert "--collectors=/etc/dcgm-exporter/dcgm-metrics.csv" in container(with_process, agent)["args"]
        assert mounts(with_process, agent)["counters"] == ["/etc/dcgm-exporter"]
        (volume,) = [each for each in volumes(with_process, agent) if each["name"] == "counters"]
        assert volume["configMap"] == {"name": "fields"}


def test_only_the_exporter_has_the_pids_of_the_host_and_only_on_request() -> None:
    on: Obj = {"dcgmExporter": {**EXPORTER, "hostPID": True}}
    with_pids = {
        name
        for (kind, name), each in rendered(on).items()
        if kind == "DaemonSet" and "hostPID" in each["spec"]["template"]["spec"]
    }
    assert with_pids == {"gpu-exporter"}
    assert not any("hostPID" in str(each) for each in rendered({"dcgmExporter": EXPORTER}).values())
    single = {"singleProcess": {"enabled": True}}
    assert "hostPID: true" in template(*options({**on, **single}))
    assert "hostPID" not in template(*options({**single, "dcgmExporter": {"hostPID": True}}))


@pytest.mark.parametrize("value", ["enablePodLabels", "enablePodUID"])
def test_the_exporter_may_list_pods_only_if_it_exports_their_labels_or_uids(value: str) -> None:
    objects = rendered({"dcgmExporter": {**EXPORTER, value: True}})
    (rule,) = objects["ClusterRole", "gpunode-pods"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
    (subject,) = objects["ClusterRoleBinding", "gpunode-pods"]["subjects"]
    assert subject["name"] == "gpu-exporter"
    without = rendered({"dcgmExporter": EXPORTER})
    assert ("ClusterRole", "gpunode-pods") not in without
    bindings = [each for (kind, _), each in without.items() if kind.endswith("RoleBinding")]
    assert "gpu-exporter" not in {subject["name"] for each in bindings for subject in each["subjects"]}


def test_the_service_monitor_has_the_values_of_nvidias_chart() -> None:
    relabeling = {"targetLabel": "cluster", "replacement": "a"}
    monitor: Obj = {
        "enabled": True,
        "interval": "9s",
        "additionalLabels": {"release": "p"},
        "relabelings": [relabeling],
    }
    values: Obj = {"dcgmExporter": {**EXPORTER, "serviceMonitor": monitor}, "metrics": {"tlsSecret": "b"}}
    objects = rendered(values)
    found = objects["ServiceMonitor", "gpu-exporter"]
    assert found["metadata"]["labels"]["release"] == "p"
    (endpoint,) = found["spec"]["endpoints"]
    assert (endpoint["interval"], endpoint["scheme"], endpoint["honorLabels"]) == ("9s", "https", True)
    node, dropped, last = endpoint["relabelings"]
    assert (node["targetLabel"], dropped["action"], last) == ("node", "labeldrop", relabeling)
    assert (
        found["spec"]["selector"]["matchLabels"].items()
        <= objects["Service", "gpu-exporter"]["metadata"]["labels"].items()
    )
    monitor["honorLabels"] = False
    (endpoint,) = rendered(values)["ServiceMonitor", "gpu-exporter"]["spec"]["endpoints"]
    assert "labeldrop" not in str(endpoint), "the labels of the target stay, so those of the metrics become exported_*"
    assert ("ServiceMonitor", "gpu-exporter") not in rendered({"dcgmExporter": EXPORTER})


def test_the_service_selects_the_pods_of_the_single_process() -> None:
    objects = rendered({"dcgmExporter": EXPORTER, "singleProcess": {"enabled": True}})
    selector = objects["Service", "gpu-exporter"]["spec"]["selector"]
    template = objects["DaemonSet", "gpunode"]["spec"]["template"]
    assert selector.items() <= template["metadata"]["labels"].items()
    assert "metrics" in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert ("Service", "gpu-exporter") not in rendered({"dcgmExporter": EXPORTER, "cleanup": {"enabled": True}})
    assert ("Service", "gpu-exporter") not in rendered({})


def test_only_agents_that_open_gpus_are_privileged() -> None:
    values: Obj = {"privileged": True}
    assert container(values, "gfd")["securityContext"]["privileged"] is True
    assert "privileged" not in container(values, "nfd-lite")["securityContext"]
    assert mounts(values, "gpu-device-plugin")["dev"] == ["/dev", "/host/dev"]


@pytest.mark.parametrize("agent", ["nfd-lite", "gfd", "gpu-device-plugin", "gpu-exporter"])
def test_common_values_apply_to_each_agent(agent: str) -> None:
    values: Obj = {
        "dcgmExporter": EXPORTER,
        "image": {"repository": "r.example/gpunode", "tag": "1", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "s"}],
        "tolerations": [],
        "priorityClassName": "mine",
        "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "runtimeClassName": "nvidia",
    }
    daemon_set = rendered(values)["DaemonSet", agent]["spec"]
    template, pod = daemon_set["template"], daemon_set["template"]["spec"]
    assert daemon_set["updateStrategy"] == {"type": "OnDelete"}
    assert template["metadata"]["annotations"] == {"a": "b"}
    assert template["metadata"]["labels"]["c"] == "d"
    assert (pod["containers"][0]["image"], pod["containers"][0]["imagePullPolicy"]) == ("r.example/gpunode:1", "Always")
    assert (pod["imagePullSecrets"], pod["priorityClassName"]) == ([{"name": "s"}], "mine")
    assert "tolerations" not in pod
    assert pod.get("runtimeClassName") == (None if agent == "nfd-lite" else "nvidia")


@pytest.mark.parametrize(
    "values", [{"dcgmExporter": EXPORTER}, {"singleProcess": {"enabled": True}}, {"cleanup": {"enabled": True}}]
)
def test_the_folder_of_the_kubelet_moves_only_pod_resources(values: Obj) -> None:
    """Source: --root-dir of the kubelet; the folder of device plugins is a constant of the kubelet."""
    for (kind, agent), daemon_set in rendered({**values, "kubeletRootDir": "/x"}).items():
        if kind == "DaemonSet":
            paths = {
                each["name"]: each["hostPath"]["path"]
                for each in daemon_set["spec"]["template"]["spec"]["volumes"]
                if "hostPath" in each
            }
            assert paths.get("device-plugins", "/var/lib/kubelet/device-plugins") == "/var/lib/kubelet/device-plugins"
            moved = {"pod-resources"} if agent in ("gpu-device-plugin", "gpu-exporter", "gpunode") else set()
            assert {name for name, path in paths.items() if path.startswith("/x")} == moved


def test_a_disabled_agent_has_no_objects() -> None:
    objects = rendered({"nfd": {"enabled": False}, "gateLabel": "a=b"})
    assert not [key for key in objects if key[1] == "nfd-lite"]
    bindings = [each for (kind, _), each in objects.items() if kind.endswith("RoleBinding")]
    assert "nfd-lite" not in {subject["name"] for each in bindings for subject in each["subjects"]}


def test_an_old_cluster_is_refused_with_the_value_to_set() -> None:
    with pytest.raises(ClusterError, match="Set admissionPolicies"):
        template("--kube-version=1.28.0")
    old = template("--kube-version=1.26.0", "--set=admissionPolicies.enabled=false")
    assert "ValidatingAdmissionPolicy" not in old
    assert "recursiveReadOnly" not in old, "Kubernetes 1.30 has this field, and Helm refuses unknown fields"


def test_the_documentation_states_the_oldest_kubernetes_version_of_the_chart() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    policies = (CHART / "templates" / "admission.yaml").read_text()
    (oldest,), (with_policies,) = (
        re.findall(r"^>=(.+)\.0-0$", chart),
        re.findall(r'semverCompare "<(\S+)\.0-0"', policies),
    )
    install = " ".join((MANIFESTS.parent / "docs" / "how-to" / "install.md").read_text().split())
    assert f"You need Kubernetes {with_policies} or newer" in install
    assert f"On Kubernetes {oldest} to 1.29 use Helm with `admissionPolicies.enabled=false`" in install
    assert f"Kubernetes {with_policies}, or {oldest} with `admissionPolicies.enabled=false`" in " ".join(
        (CHART / "README.md").read_text().split()
    )


def test_cleanup_replaces_the_agents() -> None:
    values: Obj = {"cleanup": {"enabled": True}, "nfd": {"config": {"core": {}}}, "config": {"map": {"a": ""}}}
    objects = rendered(values)
    assert [name for kind, name in objects if kind in ("DaemonSet", "ServiceAccount")] == ["gpunode-cleanup"] * 2
    assert not [name for kind, name in objects if kind == "ConfigMap"]
    found = container(values, "gpunode-cleanup")
    parsed = parse_command(cleanup_command, found["args"], "gpunode cleanup")
    assert parsed is not None
    assert (found["command"], parsed["stay"]) == (["gpunode", "cleanup"], True)
    writable = {each["mountPath"] for each in found["volumeMounts"] if not each.get("readOnly")}
    assert writable == {str(Path(parsed["kubelet_socket"]).parent), str(parsed["cdi_dir"]), str(parsed["lock_dir"])}
    assert (
        not {"nodeSelector", "priorityClassName"}
        & objects["DaemonSet", "gpunode-cleanup"]["spec"]["template"]["spec"].keys()
    )
    over_tls = container({**values, "metrics": {"tlsSecret": "certificates"}}, "gpunode-cleanup")
    assert over_tls == found, "cleanup pods are temporary and have no TLS"


def test_the_lists_of_an_agent_are_appended_and_its_security_context_is_merged() -> None:
    values: Obj = {
        "gfd": {
            "extraEnv": [{"name": "A", "value": "b"}],
            "resources": {"limits": {"memory": "1Gi"}},
            "securityContext": {"runAsUser": 1000},
        },
        "nfd": {"securityContext": {"runAsUser": 0}},
    }
    found = container(values, "gfd")
    assert {"name": "A", "value": "b"} in found["env"]
    assert found["resources"]["limits"] == {"memory": "1Gi"}
    assert (found["securityContext"]["runAsUser"], found["securityContext"]["runAsNonRoot"]) == (1000, True)
    assert "runAsNonRoot" not in container(values, "nfd-lite")["securityContext"], (
        "the kubelet refuses root with runAsNonRoot"
    )
    assert found["securityContext"]["readOnlyRootFilesystem"] is True


def volumes(values: Obj, agent: str) -> list[Obj]:
    found: list[Obj] = rendered(values)["DaemonSet", agent]["spec"]["template"]["spec"]["volumes"]
    return found


def mounts(values: Obj, agent: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in container(values, agent)["volumeMounts"]:
        found.setdefault(each["name"], []).append(each["mountPath"])
    return found


def notes(*flags: str) -> str:
    install = ("install", "gpunode", str(CHART), "--dry-run=client", "--disable-openapi-validation")
    return helm(*install, *flags).partition("NOTES:")[2]


def test_the_notes_name_what_drivers_need_without_the_container_toolkit() -> None:
    assert "set privileged=true" in notes("--set=driver.enabled=true")
    for setting in ("privileged=true", "runtimeClassName=nvidia"):
        shown = notes("--set=driver.enabled=true", f"--set={setting}")
        assert "kubectl get nvidiadrivers" in shown
        assert "set privileged=true" not in shown
    assert "nvidiadrivers" not in notes()


def test_the_notes_name_the_strategy_that_older_runtimes_need() -> None:
    assert "deviceListStrategy=cdi-cri" in notes("--set=toolkit.enabled=true")
    assert "deviceListStrategy" not in notes("--set=toolkit.enabled=true", "--set=deviceListStrategy=cdi-cri")


def test_the_notes_warn_of_simulated_gpus() -> None:
    assert "WARNING: the agents simulate GPUs (simulate=h100x8)" in notes("--set=simulate=h100x8")
    assert "simulate" not in notes()


@pytest.mark.parametrize(
    ("policy", "more"),
    [("wait", []), ("evict", [("pods/eviction", ["create"])]), ("force", [("pods", ["delete"])])],
)
def test_mig_manager_may_remove_pods_only_with_a_policy_that_removes_pods(
    policy: str, more: list[tuple[str, list[str]]]
) -> None:
    objects = rendered({"migManager": {"enabled": True, "busyPolicy": policy}})
    rules = [(each["resources"][0], each["verbs"]) for each in objects["ClusterRole", "gpunode-mig"]["rules"]]
    assert [each for each in rules if each[0].startswith("pods")] == more
    assert ("ClusterRole", "gpunode-mig") not in rendered({})


@pytest.mark.parametrize(
    ("policy", "verbs"),
    [
        ({}, [["list"]]),
        ({"drain": {"enable": True}}, [["list"]]),
        ({"drain": {"force": True}}, [["list"], ["delete"]]),
        ({"gpuPodDeletion": {"force": True}}, [["list"], ["delete"]]),
    ],
)
def test_gpu_operator_may_delete_pods_of_others_only_if_an_upgrade_forces_it(
    policy: dict[str, object], verbs: list[list[str]]
) -> None:
    objects = rendered({"driver": {"enabled": True, "upgradePolicy": policy}})
    rules = objects["ClusterRole", "gpunode-operator"]["rules"]
    assert [each["verbs"] for each in rules if each["resources"] == ["pods"]] == verbs


def test_gpu_toolkit_is_off_by_default_and_may_only_create_events() -> None:
    assert ("DaemonSet", "gpu-toolkit") not in rendered({})
    objects = rendered({"toolkit": {"enabled": True}})
    assert objects["ClusterRole", "gpunode-toolkit"]["rules"] == [
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}
    ]
    cleaned = rendered({"toolkit": {"enabled": True}, "cleanup": {"enabled": True}})
    assert ("DaemonSet", "gpu-toolkit") not in cleaned


def test_nvidias_runtime_needs_a_folder_and_gets_a_runtime_class() -> None:
    assert ("RuntimeClass", "nvidia") not in rendered({"toolkit": {"enabled": True}})
    objects = rendered(
        {"toolkit": {"enabled": True, "source": "/opt/nvidia", "installDir": "/opt/x"}, "nvidiaDriverRoot": "/drv"}
    )
    assert objects["RuntimeClass", "nvidia"]["handler"] == "nvidia"
    (container,) = objects["DaemonSet", "gpu-toolkit"]["spec"]["template"]["spec"]["containers"]
    assert {"--toolkit-source=/host/opt/nvidia", "--toolkit-install-dir=/opt/x", "--nvidia-driver-root=/drv"} <= set(
        container["args"]
    )


def test_gpu_toolkit_has_its_own_pods_also_beside_the_single_process() -> None:
    objects = rendered({"toolkit": {"enabled": True}, "singleProcess": {"enabled": True}})
    assert {name for kind, name in objects if kind == "DaemonSet"} == {"gpunode", "gpu-toolkit"}


def test_mig_manager_may_pause_exactly_the_chosen_daemon_sets_and_list_their_pods() -> None:
    objects = rendered({"migManager": {"enabled": True, "pauseComponents": ["dcgm", "client"]}})
    rules = [(each["resources"][0], each["verbs"]) for each in objects["ClusterRole", "gpunode-mig"]["rules"]]
    assert ("pods", ["list"]) in rules
    policy = objects["ValidatingAdmissionPolicy", "gpunode-nodes"]["spec"]["variables"]
    texts = {each["name"]: each["expression"] for each in policy}
    assert "k in ['nvidia.com/gpu.deploy.dcgm', 'nvidia.com/gpu.deploy.client']" in texts["pausedLabels"]
    assert "!(k in variables.newAnnotations)" not in texts["wrongAnnotations"]


def test_the_services_of_the_host_that_stop_can_come_from_a_config_map() -> None:
    for on in (True, False):
        values = {"enabled": True, "stopHostServices": on, "gpuClientsConfig": {"name": "clients"}}
        pod = rendered({"migManager": values})["DaemonSet", "mig-manager"]["spec"]["template"]["spec"]
        names = [each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each]
        assert names == (["clients"] if on else [])


def test_mig_manager_has_its_own_pods_also_beside_the_single_process() -> None:
    objects = rendered({"migManager": {"enabled": True}, "singleProcess": {"enabled": True}})
    assert {name for kind, name in objects if kind == "DaemonSet"} == {"gpunode", "mig-manager"}
    pod = objects["DaemonSet", "mig-manager"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["securityContext"]["privileged"] is True
    assert pod["nodeSelector"] == {"nvidia.com/mig.capable": "true"}
    cleaned = rendered({"migManager": {"enabled": True}, "cleanup": {"enabled": True}})
    assert ("DaemonSet", "mig-manager") not in cleaned
    volumes = cleaned["DaemonSet", "gpunode-cleanup"]["spec"]["template"]["spec"]["volumes"]
    assert "/var/lib/gpunode" in [each["hostPath"]["path"] for each in volumes]


DRIVER: Obj = {"driver": {"enabled": True}}


def test_drivers_are_off_by_default_and_end_with_a_cleanup() -> None:
    for values in ({}, {**DRIVER, "cleanup": {"enabled": True}}):
        assert not {kind for kind, _ in rendered(values)} & {"Deployment", "NVIDIADriver"}


def test_the_controller_starts_with_its_arguments_and_gives_its_image_to_driver_pods() -> None:
    values = {
        **DRIVER,
        "image": {"repository": "r/gpunode", "tag": "2"},
        "imagePullSecrets": [{"name": "a"}, {"name": "b"}],
    }
    (container,) = rendered(values)["Deployment", "gpu-operator"]["spec"]["template"]["spec"]["containers"]
    parsed = parse_command(COMMANDS["gpu-operator",], container["args"], "t")
    assert parsed is not None
    assert parsed["driver_manager_image"] == container["image"] == "r/gpunode:2"
    assert parsed["driver_pull_secrets"] == ("a", "b")
    assert container["securityContext"]["runAsNonRoot"] is True


GROUPS: Obj = {"featureGates": {"NodeFeatureGroupAPI": True}}
GARBAGE: Obj = {"gc": {"enable": True, "interval": "2h"}}


@pytest.mark.parametrize(
    ("values", "settings", "roles"),
    [
        pytest.param(GROUPS, (False, True, None), {"groups", "lease", "nfd"}, id="groups"),
        pytest.param(GARBAGE, (False, False, 7200.0), {"lease", "nfd"}, id="garbage"),
        pytest.param({**GROUPS, **GARBAGE, **DRIVER}, (True, True, 7200.0), {"", "groups", "lease", "nfd"}, id="all"),
    ],
)
def test_the_controller_does_what_the_values_enable_with_the_rights_for_it(
    values: Obj, settings: tuple[bool, bool, float | None], roles: set[str]
) -> None:
    objects = rendered(values)
    (container,) = objects["Deployment", "gpu-operator"]["spec"]["template"]["spec"]["containers"]
    parsed = parse_command(COMMANDS["gpu-operator",], container["args"], "t")
    assert parsed is not None
    assert (parsed["drivers"], parsed["feature_groups"], parsed["gc_interval"]) == settings
    names = {name for kind, name in objects if kind in ("Role", "ClusterRole") and name.startswith("gpunode-operator")}
    assert names == {f"gpunode-operator-{role}".rstrip("-") for role in roles}
    assert (("ServiceAccount", "gpu-driver") in objects) is settings[0]


def test_objects_are_deleted_only_with_the_garbage_collector() -> None:
    def verbs(values: Obj) -> set[str]:
        return {
            verb for rule in rendered(values)["ClusterRole", "gpunode-operator-nfd"]["rules"] for verb in rule["verbs"]
        }

    assert verbs(GROUPS) == {"list", "watch"}
    assert verbs(GARBAGE) == {"get", "list", "watch", "delete"}


def test_without_a_version_the_chart_creates_no_driver() -> None:
    assert ("NVIDIADriver", "default") not in rendered(DRIVER)


def test_the_values_of_a_driver_are_the_spec_of_the_object_default() -> None:
    section = {
        "enabled": True, "version": "580", "usePrecompiled": True, "kernelModuleType": "open", "env": [{"name": "A", "value": "1"}],
        "repoConfig": {"configMapName": "r"}, "certConfig": {"name": "c"}, "nodeSelector": {"a": "b"},
        "upgradePolicy": {"autoUpgrade": False, "maxParallelUpgrades": 0, "gpuPodDeletion": {"force": True}},
    }  # fmt: skip
    spec = rendered({"driver": section})["NVIDIADriver", "default"]["spec"]
    decoded = decode_spec(spec)
    assert (decoded.problems, decoded.ignored) == ((), ())
    assert decoded.spec is not None
    assert decoded.spec.use_precompiled
    assert (decoded.spec.repo_config.name, decoded.spec.cert_config.name) == ("r", "c")
    policy = decoded.spec.upgrade_policy
    assert (policy.auto_upgrade, policy.max_parallel_upgrades, policy.pod_deletion.force) == (False, 0, True)
    assert set(spec) == set(section) - {"enabled"} | {"tolerations"}


@pytest.mark.parametrize(
    ("values", "tolerations"),
    [
        ({}, ({"operator": "Exists"},)),
        (
            {"tolerations": [{"key": "a"}], "devicePlugin": {"startupTaint": "example.com/not-ready:NoSchedule"}},
            ({"key": "a"}, {"key": "example.com/not-ready", "operator": "Exists"}),
        ),
        ({"tolerations": None}, None),
    ],
    ids=["default", "set", "none"],
)
def test_the_driver_tolerates_the_taints_that_the_agents_tolerate(
    values: Obj, tolerations: tuple[Obj, ...] | None
) -> None:
    """Otherwise nodes with a taint get agents that wait for a driver for ever."""
    objects = rendered({"driver": {"enabled": True, "version": "580"}, **values})
    decoded = decode_spec(objects["NVIDIADriver", "default"]["spec"])
    assert decoded.spec is not None
    assert decoded.spec.tolerations == tolerations


@pytest.mark.parametrize(
    ("values", "root"),
    [
        ({}, "/"),
        (DRIVER, "/"),
        ({**DRIVER, "nvidiaDriverRoot": "/run/nvidia/driver"}, "/run/nvidia/driver"),
    ],
)
def test_the_agents_find_drivers_of_hosts_also_beside_driver_pods(values: Obj, root: str) -> None:
    (volume,) = [
        each
        for each in rendered(values)["DaemonSet", "gfd"]["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "driver-root"
    ]
    assert volume["hostPath"]["path"] == root

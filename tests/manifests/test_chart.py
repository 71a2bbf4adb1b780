"""The chart by itself: values that mean nothing are refused, and those that mean something become what the programs understand."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpunode.cleanup.command import command as cleanup_command
from node_core.runtime.command import parse_command
from tests.e2e.cluster.errors import ClusterError
from tests.manifests.helm import CHART, ROOT, Obj, helm, load, named, template
from tests.manifests.test_agents import COMMANDS

VALUES: Obj = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Obj = json.loads((CHART / "values.schema.json").read_text())
FREE = {"global"}
"""What Helm itself puts among the values."""

pytestmark = pytest.mark.usefixtures("helm_binary")


def rendered(values: Obj) -> dict[tuple[str, str], Obj]:
    return named(load(template(*(f"--set-json={key}={json.dumps(value)}" for key, value in values.items()))))


def container(values: Obj, agent: str) -> Obj:
    (only,) = rendered(values)["DaemonSet", agent]["spec"]["template"]["spec"]["containers"]
    found: Obj = only
    return found


def test_the_chart_lints() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_chart_has_the_version_of_the_programs() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_schema_knows_every_value_and_no_other() -> None:
    def compare(values: Obj, schema: Obj, path: str) -> None:
        assert values.keys() == schema["properties"].keys() - FREE, path
        assert schema["additionalProperties"] is False, path
        for key, value in values.items():
            if "properties" in (below := schema["properties"][key]) and key != "updateStrategy":
                compare(value, below, f"{path}.{key}")

    compare(VALUES, SCHEMA, "")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"failOnInitError": True}, "failOnInitError"),
        ({"gfd": {"enable": True}}, "/gfd"),
        ({"migStrategy": "auto"}, "/migStrategy"),
        ({"deviceListStrategy": ["cdi"]}, "/deviceListStrategy"),
        ({"nvidiaDriverRoot": "run/nvidia"}, "/nvidiaDriverRoot"),
        ({"nvidiaDriverRoot": None, "image": {"tag": 1}}, "/image/tag"),
        ({"nodeSelector": {"a": 1}}, "/nodeSelector/a"),
        ({"networkPolicy": {"apiServerPorts": []}}, "/networkPolicy/apiServerPorts"),
        ({"privileged": "yes"}, "/privileged"),
        ({"metrics": {"auth": True}}, "'/metrics': missing property 'tlsSecret'"),
        ({"config": {"map": {"a": "version: v1"}, "name": "b"}}, "config: map and name"),
        ({"singleProcess": {"enabled": True}, "publish": "node-feature"}, "singleProcess: its labels go to the Node"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_by_name(values: Obj, named: str) -> None:
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
        ({"nvidiaDriverRoot": "/opt/nvidia"}, "gpu-device-plugin", {"nvidia_driver_root": "/opt/nvidia"}),
        ({"nvidiaDevRoot": "/"}, "gpu-device-plugin", {"nvidia_dev_root": "/"}),
        (
            {"gdrcopyEnabled": True, "gdsEnabled": True, "mofedEnabled": False},
            "gpu-device-plugin",
            {"gdrcopy_enabled": True, "gds_enabled": True, "mofed_enabled": False},
        ),
        ({"compatWithCPUManager": True}, "gpu-device-plugin", {"pass_device_specs": True}),
        ({"mps": {"root": "/run/nvidia/mps"}}, "gpu-device-plugin", {"mps_root": "/run/nvidia/mps"}),
        ({"cdi": {"nvidiaHookPath": "/h"}}, "gpu-device-plugin", {"nvidia_ctk_path": "/h"}),
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
            {"singleProcess": {"enabled": True}, "migStrategy": "single", "nfd": {"denyLabelNs": ["x.io"]}},
            "gpunode",
            {"mig_strategy": "single", "deny_label_ns": ("x.io",)},
        ),
    ],
)  # fmt: skip
def test_a_value_becomes_what_the_program_understands(values: Obj, agent: str, flags: dict[str, Any]) -> None:
    found = container(values, agent)
    parsed = parse_command(COMMANDS[tuple(found["command"])], found["args"], agent)
    assert parsed is not None
    told = {name: str(parsed[name]) if isinstance(flags[name], str) else parsed[name] for name in flags}
    assert told == {name: type(told[name])(value) for name, value in flags.items()}


def test_configs_are_mounted_for_the_two_that_read_them() -> None:
    values: Obj = {"config": {"map": {"a": "version: v1\n"}, "default": "a", "fallbackStrategies": ["named"]}}
    objects = rendered(values)
    assert objects["ConfigMap", "gpunode-configs"]["data"] == {"a": "version: v1\n"}
    for agent in ("gfd", "gpu-device-plugin"):
        wanted = ["--config-dir=/etc/gpunode/configs", "--default-config=a", "--fallback-strategies=named"]
        assert set(wanted) <= set(container(values, agent)["args"])
        assert mounts(values, agent)["configs"] == ["/etc/gpunode/configs"]
    assert "configs" not in mounts(values, "nfd-lite")
    theirs: Obj = {"config": {"name": "theirs"}}
    (volume,) = [each for each in volumes(theirs, "gfd") if each["name"] == "configs"]
    assert volume["configMap"] == {"name": "theirs"}
    assert ("ConfigMap", "gpunode-configs") not in rendered(theirs)


def test_the_config_of_nfd_worker_is_a_file_that_nfd_lite_takes() -> None:
    values: Obj = {"nfd": {"config": {"core": {"sleepInterval": "90s"}}}}
    text = rendered(values)["ConfigMap", "nfd-lite-config"]["data"]["nfd-worker.conf"]
    assert yaml.safe_load(text) == values["nfd"]["config"]
    assert "--config=/etc/gpunode/nfd-worker/nfd-worker.conf" in container(values, "nfd-lite")["args"]
    assert mounts(values, "nfd-lite")["nfd-worker"] == ["/etc/gpunode/nfd-worker"]


@pytest.mark.parametrize("agent", ["nfd-lite", "gfd", "gpu-device-plugin"])
def test_the_port_can_speak_tls_and_ask_who_reads_metrics(agent: str) -> None:
    values: Obj = {"metrics": {"tlsSecret": "certificates", "auth": True}}
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


def test_the_policies_follow_namespace_startup_taint_and_namespaces_of_labels() -> None:
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


def test_mps_gets_its_folders_at_the_places_where_the_plugin_looks() -> None:
    found = mounts({"mps": {"root": "/run/nvidia/mps"}}, "gpu-device-plugin")
    assert (found["mps"], found["mps-shm"]) == (["/mps"], ["/dev/shm"])
    assert "mps" not in mounts({"mps": {"root": "/run/nvidia/mps"}}, "gfd")


def test_privileges_are_of_those_that_open_gpus() -> None:
    values: Obj = {"privileged": True}
    assert container(values, "gfd")["securityContext"]["privileged"] is True
    assert "privileged" not in container(values, "nfd-lite")["securityContext"]
    assert mounts(values, "gpu-device-plugin")["dev"] == ["/dev", "/host/dev"]


@pytest.mark.parametrize("agent", ["nfd-lite", "gfd", "gpu-device-plugin"])
def test_what_all_agents_have_in_common_is_said_once(agent: str) -> None:
    values: Obj = {
        "image": {"repository": "r.example/gpunode", "tag": "1", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "s"}],
        "nodeSelector": {"pool": "a"},
        "affinity": {"nodeAffinity": {}},
        "tolerations": [],
        "priorityClassName": "mine",
        "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "runtimeClassName": "nvidia",
        "kubeletRootDir": "/var/lib/k0s/kubelet",
    }
    daemon_set = rendered(values)["DaemonSet", agent]["spec"]
    template, pod = daemon_set["template"], daemon_set["template"]["spec"]
    assert daemon_set["updateStrategy"] == {"type": "OnDelete"}
    assert template["metadata"]["annotations"] == {"a": "b"}
    assert template["metadata"]["labels"]["c"] == "d"
    assert (pod["containers"][0]["image"], pod["containers"][0]["imagePullPolicy"]) == ("r.example/gpunode:1", "Always")
    assert (pod["imagePullSecrets"], pod["priorityClassName"]) == ([{"name": "s"}], "mine")
    assert pod["nodeSelector"]["pool"] == "a"
    assert "tolerations" not in pod
    assert pod.get("runtimeClassName") == (None if agent == "nfd-lite" else "nvidia")
    paths = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"]}
    assert paths.get("device-plugins", "") in ("", "/var/lib/k0s/kubelet/device-plugins")


def test_an_agent_that_is_off_leaves_nothing_of_its_own() -> None:
    objects = rendered({"nfd": {"enabled": False}})
    assert not [key for key in objects if key[1] == "nfd-lite"]
    bindings = [each for (kind, _), each in objects.items() if kind.endswith("RoleBinding")]
    assert "nfd-lite" not in {subject["name"] for each in bindings for subject in each["subjects"]}


def test_a_cluster_without_admission_policies_is_told_what_to_leave_out() -> None:
    with pytest.raises(ClusterError, match="set admissionPolicies"):
        template("--kube-version=1.28.0")
    assert "ValidatingAdmissionPolicy" not in template("--kube-version=1.28.0", "--set=admissionPolicies.enabled=false")


def test_the_cleanup_takes_the_place_of_the_agents() -> None:
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
    assert over_tls == found, "it goes when it is done: nobody reads its metrics"


def test_lists_of_an_agent_are_added_and_its_security_is_laid_over_ours() -> None:
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
        "a kubelet starts no root that is not root"
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

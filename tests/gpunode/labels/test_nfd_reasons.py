"""Why nfd-lite does not publish a label: rules, facts of the host, failures."""

from pathlib import Path

import pytest

from tests.gpunode.labels.answers import CONDITION, PREFIX, RETAINED, ask, evidence, whys
from tests.gpunode.labels.conftest import Show
from tests.nfd_lite.conftest import load_host

FEATURES = "etc/kubernetes/node-feature-discovery/features.d"
CUSTOM = "etc/kubernetes/node-feature-discovery/custom.d"
REFUSED = "the rule premium / refused matches, but its label is refused"


@pytest.mark.parametrize(
    ("key", "why", "observed"),
    [
        ("memory-swap", "with swap space in use", "memory.swap: enabled=false"),
        (
            "kernel-config.NOT_THERE",
            "for each option in sources.kernel.configOpts that is set",
            "kernel.config NOT_THERE: does not exist",
        ),
        ("network-sriov.capable", "with a network device that supports SR-IOV", "network.device: 5 instances"),
        ("extra-amd-pstate", "with the driver amd_pstate", "extra.host: "),
        (
            "nvidia.com/gpu.present",
            "with an NVIDIA GPU, with or without a driver",
            "pci.device vendor: 0 of 10 instances; ",
        ),
    ],
)
def test_a_fact_that_the_host_does_not_have(key: str, why: str, observed: str, show: Show, tmp_path: Path) -> None:
    root = load_host("icelake-sriov", tmp_path / "host").root.base
    (root / "proc/swaps").write_text("Filename Type Size Used Priority\n")
    for file in (root / "sys/class/net").glob("*/device/sriov_totalvfs"):
        file.unlink()
    answer = ask(show, key, simulate="none", host=root)
    assert f"nfd-lite: {CONDITION} {why}" in whys(answer)
    assert evidence(answer)[0].startswith(observed)


@pytest.mark.parametrize(
    ("key", "why", "observed"),
    [
        ("nic", "the rule premium / nic does not match", "not met: kernel.version major Gt '6'. Observed: '6'"),
        (
            "any",
            "the rule premium / any does not match",
            "matchAny[0]: not met: system.osrelease ID In 'rhel'. Observed: 'ubuntu'",
        ),
        ("kubernetes.io/arch", REFUSED, "its namespace 'kubernetes.io' belongs to Kubernetes"),
        ("bad", REFUSED, "its value 'not valid!' must begin"),
    ],
)
def test_a_rule_that_does_not_set_its_label(key: str, why: str, observed: str, show: Show, rules: str) -> None:
    answer = ask(show, key, "--rules", rules)
    assert whys(answer) == [f"nfd-lite: {why}"]
    assert any(line.startswith(observed) for line in evidence(answer))


def test_a_rule_whose_template_may_set_the_label(show: Show, rules: str) -> None:
    answer = ask(show, "vendor.io/x-9999", "--rules", rules)
    assert whys(answer) == [
        "gpunode: no agent sets this label, and no rule names this label",
        "nfd-lite: the rule premium / templated has a labelsTemplate, which can set this label, and does not match",
    ]


def test_a_rule_that_cannot_be_evaluated_or_waits_for_a_feature(show: Show, tmp_path: Path) -> None:
    root = load_host("xeon-h100", tmp_path / "host").root.base
    (root / "proc/swaps").unlink()
    (root / "proc/swaps").mkdir()
    (tmp_path / "rules.yaml").write_text(
        "- name: broken\n  labels: {broken: x}\n  matchFeatures:\n"
        "  - {feature: kernel.version, matchExpressions: {major: {op: Gt, value: [a]}}}\n"
        "- name: waits\n  labels: {waits: x}\n  matchFeatures:\n"
        "  - {feature: memory.swap, matchExpressions: {enabled: {op: Exists}}}\n"
    )
    file = ("--rules", str(tmp_path / "rules.yaml"))
    answer = ask(show, "broken", *file, host=root)
    assert whys(answer) == [f"nfd-lite: the rule {tmp_path}/rules.yaml / broken cannot be evaluated"]
    assert "'a'" in evidence(answer)[0]
    answer = ask(show, "waits", *file, host=root)
    assert whys(answer) == [f"nfd-lite: the rule {tmp_path}/rules.yaml / waits waits for features that cannot be read"]
    assert evidence(answer) == ["memory.swap: cannot read /proc/swaps: Is a directory"]
    answer = ask(show, "memory-swap", host=root)
    assert whys(answer) == [f"nfd-lite: {RETAINED}"]
    assert evidence(answer) == ["memory.swap: cannot read /proc/swaps: Is a directory"]


def test_a_host_that_cannot_be_read(show: Show, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    answer = ask(show, "memory-numa", host=tmp_path / "nothing")
    assert whys(answer) == [f"nfd-lite: {RETAINED}"]
    assert evidence(answer)[0].startswith(f"{tmp_path}/nothing does not contain the host's /proc and /sys.")
    assert show(host=tmp_path / "nothing").exit_code == 1


def test_feature_files_and_drop_in_rules(show: Show, tmp_path: Path) -> None:
    root = load_host("xeon-h100", tmp_path / "host").root.base
    for folder in (FEATURES, CUSTOM):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / FEATURES / "racks").write_text("rack=r1\nkubernetes.io/zone=a\nmemory-numa=false\n")
    (root / CUSTOM / "a.yaml").write_text("- {name: racks, labels: {rack: r2, shelf: '1'}}\n")
    rack = ask(show, "rack", host=root)["labels"]
    assert rack == [
        {
            "key": f"{PREFIX}rack",
            "value": "r1",
            "agent": "nfd-lite",
            "source": f"/{FEATURES}/racks",
            "overridden": [{"value": "r2", "source": f"the rule /{CUSTOM}/a.yaml / racks"}],
        }
    ]
    assert ask(show, "shelf", host=root)["labels"][0]["source"] == f"the rule /{CUSTOM}/a.yaml / racks"
    numa = show("memory-numa", host=root).stdout
    assert f"source  /{FEATURES}/racks" in numa
    assert "hides   true from /sys/bus/node/devices" in numa
    (why,) = whys(ask(show, "kubernetes.io/zone", host=root))
    assert why.startswith(f"nfd-lite: /{FEATURES}/racks: line 2: 'kubernetes.io/zone' is not a valid label")


def test_a_label_that_the_api_server_would_refuse(show: Show, tmp_path: Path) -> None:
    root = load_host("xeon-h100", tmp_path / "host").root.base
    (root / "usr/lib/os-release").write_text('ID="my \x1b[31mOS"\n')
    result = show(host=root)
    assert result.exit_code == 0
    assert "system-os_release.ID: the API server would refuse the label: its value 'my \\x1b[31mOS'" in result.stderr
    (why,) = whys(ask(show, "system-os_release.ID", host=root))
    assert why.startswith("nfd-lite: the API server would refuse the label")

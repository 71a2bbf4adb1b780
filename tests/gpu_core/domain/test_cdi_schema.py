"""CDI specifications that container runtimes accept and refuse."""

from typing import Any

import pytest

from gpu_core.domain.cdi_schema import advice_of, problems_of


def spec(version: str = "1.1.0", /, **fields: Any) -> dict[str, Any]:
    devices = [{"name": "gpu0", "containerEdits": {"env": ["A=b"]}}]
    return {"cdiVersion": version, "kind": "vendor.com/gpu", "devices": devices, **fields}


def device(version: str = "1.1.0", /, **edits: Any) -> dict[str, Any]:
    return spec(version, devices=[{"name": "gpu0", "containerEdits": edits}])


NET = [{"hostInterfaceName": "eth0", "name": "eth1"}]
NODE = {"path": "/dev/a"}
EDITS = "devices[0]: containerEdits: "
MOUNT = {"hostPath": "/a", "containerPath": "/b"}
VALID = {
    "annotations": spec("0.6.0", annotations={"a": "b"}),
    "annotations of a device": spec("0.6.0", devices=[{"name": "a", "annotations": {"a": "b"}, "containerEdits": {"env": ["A=b"]}}]),
    "intelRdt": device("0.7.0", intelRdt={"closID": "a"}),
    "schemata": device("1.1.0", intelRdt={"schemata": ["L3:0=1"], "enableMonitoring": True}),
    "netDevices": device("1.1.0", netDevices=NET),
    "empty texts": device("0.3.0", deviceNodes=[{**NODE, "hostPath": ""}], mounts=[{**MOUNT, "type": ""}]),
    "no permissions": device(deviceNodes=[{**NODE, "permissions": "none"}]),
    "prestart": device(hooks=[{"hookName": "prestart", "path": "/a"}]),
    "short kind": spec(kind="v/g"),
    "two mounts at one place": device(mounts=[MOUNT, MOUNT]),
    "relative paths": device(hooks=[{"hookName": "prestart", "path": "nvidia-cdi-hook"}], mounts=[{**MOUNT, "containerPath": "b"}]),
    "null": spec("0.3.0", annotations=None, containerEdits=None,
        devices=[{"name": "a", "annotations": None, "containerEdits": {"env": ["A=b"], "mounts": None, "intelRdt": None}}]),
    "null fields": device("0.3.0", deviceNodes=[{**NODE, "hostPath": None, "major": None, "permissions": None, "type": None}]),
    "empty argument": device(hooks=[{"hookName": "prestart", "path": "/a", "args": [""], "timeout": 0}]),
    "empty option": device(mounts=[{**MOUNT, "options": [""]}]),
    "mount type": device("0.4.0", mounts=[{**MOUNT, "type": "tmpfs"}]),
    "monitoring off": device("0.7.0", intelRdt={"enableMonitoring": False, "schemata": None}),
    "v before the version": spec("v1.0.0"),
}  # fmt: skip
REFUSED = {
    "name of other letters": (spec(devices=[{"name": "gpü0", "containerEdits": {"env": ["A=b"]}}]),
        "devices[0]: gpü0 is not a device name: use letters, digits and _.:-"),
    "annotations": (spec("0.5.0", annotations={"a": "b"}), "annotations needs at least cdiVersion 0.6.0, found 0.5.0"),
    "dot": (spec("0.5.0", kind="vendor.com/g.pu"), "a dot in the name of the kind needs at least cdiVersion 0.6.0, found 0.5.0"),
    "intelRdt": (device("0.6.0", intelRdt={}), "intelRdt needs at least cdiVersion 0.7.0, found 0.6.0"),
    "additionalGids": (device("0.6.0", additionalGids=[5]), "additionalGids needs at least cdiVersion 0.7.0, found 0.6.0"),
    "netDevices": (device("1.0.0", netDevices=NET), "netDevices needs at least cdiVersion 1.1.0, found 1.0.0"),
    "schemata": (device("1.0.0", intelRdt={"schemata": ["a"]}), "intelRdt.schemata needs at least cdiVersion 1.1.0, found 1.0.0"),
    "hostPath": (device("0.4.0", deviceNodes=[{**NODE, "hostPath": "/b"}]),
        "hostPath of a device node needs at least cdiVersion 0.5.0, found 0.4.0"),
    "mount type": (device("0.3.0", mounts=[{**MOUNT, "type": "none"}]), "type of a mount needs at least cdiVersion 0.4.0, found 0.3.0"),
    "digit": (spec("0.4.0", devices=[{"name": "0", "containerEdits": {"env": ["A=b"]}}]),
        "a device name that starts with a digit needs at least cdiVersion 0.5.0, found 0.4.0"),
    "removed field": (device(intelRdt={"enableCMT": True}), "intelRdt.enableCMT does not exist in cdiVersion 1.1.0, which removed it"),
    "no edits": (device(netDevices=[]), "devices[0]: containerEdits is empty"),
    "one interface twice": (device(netDevices=NET * 2), EDITS + "netDevices: two network devices have the same hostInterfaceName"),
    "class of service": (device(intelRdt={"closID": "a/b"}), EDITS + "intelRdt.closID: 'a/b' is not the name of a directory"),
    "node type": (device(deviceNodes=[{**NODE, "type": "x"}]), EDITS + "/dev/a: type is not b, c, u or p"),
    "empty schemata": (device("1.0.0", intelRdt={"schemata": []}), "intelRdt.schemata needs at least cdiVersion 1.1.0, found 1.0.0"),
    "groups of all devices": (spec("0.3.0", containerEdits={"additionalGids": [44]}),
        "additionalGids needs at least cdiVersion 0.7.0, found 0.3.0"),
    "version before the first": (spec("0.2.0"), "cdiVersion: 0.2.0 is not one of 0.3.0, 0.4.0, 0.5.0, 0.6.0, 0.7.0, 0.8.0, 1.0.0, 1.1.0"),
    "negative number": (device(deviceNodes=[{**NODE, "minor": -1}]),
        "devices[0]: containerEdits: deviceNodes[0]: minor: expected an integer from 0 to 9223372036854775807, found -1"),
    "variable of a hook": (device(hooks=[{"hookName": "prestart", "path": "/a", "env": ["A"]}]),
        EDITS + "env: A is not of the form NAME=VALUE"),
    "class of service with a line break": (device(intelRdt={"closID": "a\nb"}),
        EDITS + "intelRdt.closID: 'a\\nb' is not the name of a directory"),
    "long class of service": (device(intelRdt={"closID": "a" * 5000}),
        EDITS + f"intelRdt.closID: '{'a' * 39} is not the name of a directory"),
    "null name": (spec(devices=[{"name": None, "containerEdits": {"env": ["A=b"]}}]), "devices[0]: name is missing"),
    "only null edits": (spec(devices=[{"name": "a", "containerEdits": {"intelRdt": None}}]), "devices[0]: containerEdits is empty"),
    "key in another case": ({**{key: value for key, value in spec().items() if key != "kind"}, "Kind": "vendor.com/gpu"},
        "Kind: write kind. Container runtimes refuse other cases since version 1.1.1 of the CDI library"),
    "second device": (spec(devices=[{"name": "a", "containerEdits": {"env": ["A=b"]}}, {"name": "b", "containerEdits": {"env": ["A"]}}]),
        "devices[1]: containerEdits: env: A is not of the form NAME=VALUE"),
    "variable without a name": (device(env=["=a"]), EDITS + "env: =a is not of the form NAME=VALUE"),
}  # fmt: skip


@pytest.mark.parametrize("valid", VALID.values(), ids=VALID)
def test_a_specification_that_runtimes_accept_has_no_problems(valid: dict[str, Any]) -> None:
    assert problems_of(valid) == []


@pytest.mark.parametrize(("refused", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_specification_that_runtimes_refuse_has_a_problem_that_states_the_reason(
    refused: dict[str, Any], problem: str
) -> None:
    assert problems_of(refused)[0] == problem


@pytest.mark.parametrize(
    ("value", "found"),
    [(["a", "b"], "a list"), (None, "nothing"), ("", "''"), (5, "5"), (1 << 20000, "a number of more than 64 bits")],
    ids=["list", "null", "string", "number", "large number"],
)
def test_a_value_of_another_type_is_described(value: Any, found: str) -> None:
    assert problems_of(value) == [f"expected a mapping, found {found}"]


STRICTER = {
    "annotation": (spec(annotations={"a": 1}), "annotations: a: expected a string, found 1"),
    "negative timeout": (device(hooks=[{"hookName": "prestart", "path": "/a", "timeout": -1}]),
        "devices[0]: containerEdits: hooks[0]: timeout: expected an integer from 0 to 4294967295, found -1"),
    "number for a path": (device(deviceNodes=[{"path": 5}]),
        "devices[0]: containerEdits: deviceNodes[0]: path: expected a string that is not empty, found 5"),
}  # fmt: skip
"""Refused by schema.json, and accepted by the newest library of the runtimes."""


@pytest.mark.parametrize(("refused", "problem"), STRICTER.values(), ids=STRICTER)
def test_a_specification_that_the_schema_refuses_is_not_valid(refused: dict[str, Any], problem: str) -> None:
    assert problems_of(refused) == [problem]


ADVICE = {
    "relative hook": (device(hooks=[{"hookName": "prestart", "path": "nvidia-cdi-hook"}]),
        "nvidia-cdi-hook should be an absolute path without .., because runtimes may not find it"),
    "parent folder": (device(deviceNodes=[{"path": "/dev/../a"}]),
        "/dev/../a should be an absolute path without .., because runtimes may not find it"),
    "two mounts": (device(mounts=[MOUNT, {**MOUNT, "hostPath": "/c"}]),
        "mounts: /b occurs twice, and only one of the two takes effect"),
    "two nodes": (device(deviceNodes=[NODE, NODE]), "deviceNodes: /dev/a occurs twice, and only one of the two takes effect"),
    "field of older versions": (device("1.0.0", intelRdt={"enableCMT": True}),
        "intelRdt.enableCMT was removed in cdiVersion 1.1.0: newer runtimes refuse the file"),
}  # fmt: skip


@pytest.mark.parametrize(("valid", "sentence"), ADVICE.values(), ids=ADVICE)
def test_a_part_that_runtimes_accept_and_that_may_not_work_is_advice(valid: dict[str, Any], sentence: str) -> None:
    assert problems_of(valid) == []
    assert advice_of(valid) == [sentence]


def test_a_specification_without_doubtful_parts_has_no_advice() -> None:
    assert advice_of(spec("0.6.0", annotations={"a": "b"}, containerEdits={"mounts": [MOUNT], "hooks": None})) == []


def test_a_field_that_is_too_new_is_reported_once_for_all_devices() -> None:
    devices = [{"name": f"gpu{number}", "containerEdits": {"additionalGids": [44]}} for number in range(8)]
    assert problems_of(spec("0.6.0", devices=devices)) == [
        "additionalGids needs at least cdiVersion 0.7.0, found 0.6.0"
    ]


def test_a_required_key_in_another_case_is_one_problem() -> None:
    refused = spec(devices=[{"NAME": "a", "containerEdits": {"ENV": ["A=b"]}}])
    assert [each.partition(". ")[0] for each in problems_of(refused)] == [
        "devices[0]: NAME: write name",
        "devices[0]: containerEdits: ENV: write env",
    ]

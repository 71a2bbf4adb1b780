"""The table of Xids, and which of them count on a node."""

import pytest

from gpu_core.domain.xid import ACTIONS, UNCONFIRMED, XIDS, XidClass, XidPolicy, xid_of

NVIDIA_IGNORES = (13, 31, 43, 45, 68, 109)
OCCURRING = (
    8, 11, 13, 31, 32, 38, 43, 44, 45, 46, 48, 54, 56, 57, 58, 59, 60, 61, 62, 63, 64, 66, 68, 69, 71, 73, 74, 75, 76, 77, 78, 79, 80,
    81, 82, 83, 84, 92, 93, 94, 95, 96, 97, 109, 110, 116, 119, 120, 121, 122, 123, 136, 137, 140, 143, *range(144, 152), 154, 155, 156,
)  # fmt: skip


CATALOG = {
    "IGNORE": (14, 37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153, 157, 160, 161),
    "RESTART_APP": (
        8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 94, *range(96, 106),
        *range(126, 136), 139,
    ),
    "RESET_GPU": (46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158),
    "RESTART_VM": (151,),
    "RESTART_BM": (79,),
    "CHECK_MECHANICALS": (54,),
    "UPDATE_SWFW": (78,),
    "WORKFLOW_XID_45": (45,),
    "WORKFLOW_XID_48": (48,),
    "WORKFLOW_NVLINK_ERR": (74,),
    "WORKFLOW_NVLINK5_ERR": tuple(range(144, 151)),
    "XID_154": (154,),
    "CHECK_UVM": (159,),
    "CONTACT_SUPPORT": (142,),
    "no action": tuple(range(162, 173)),
}  # fmt: skip
"""The immediate actions in NVIDIA's Xid Catalog for Ampere and newer GPUs, without unused Xids."""
ALLOWED = {
    "IGNORE": {"ignore", "application"},
    "RESTART_APP": {"application"},
    "RESET_GPU": {"reset"},
    "RESTART_VM": {"reboot"},
    "RESTART_BM": {"reboot"},
    "CHECK_MECHANICALS": {"replace"},
    "UPDATE_SWFW": {"ignore"},
    "WORKFLOW_XID_45": {"application"},
    "WORKFLOW_XID_48": {"reset"},
    "WORKFLOW_NVLINK_ERR": {"reset"},
    "WORKFLOW_NVLINK5_ERR": {"reset"},
    "XID_154": {"ignore"},
    "CHECK_UVM": {"device"},
    "CONTACT_SUPPORT": {"device"},
    "no action": {"ignore", "device", "reset"},
}
OURS = {109: "application"}


@pytest.mark.parametrize("action", CATALOG)
def test_the_classes_match_nvidias_catalog(action: str) -> None:
    wrong = {number: xid_of(number).kind for number in CATALOG[action] if xid_of(number).kind not in ALLOWED[action]}
    assert wrong == {number: kind for number, kind in OURS.items() if number in CATALOG[action]}


def test_every_number_of_the_table_is_in_the_catalog_or_unconfirmed() -> None:
    read = {number for numbers in CATALOG.values() for number in numbers}
    assert {each.number for each in XIDS} == read | UNCONFIRMED
    assert not read & UNCONFIRMED


def test_each_number_is_in_the_table_once_and_in_order() -> None:
    numbers = [each.number for each in XIDS]
    assert numbers == sorted(set(numbers))
    assert set(OCCURRING) <= set(numbers)


def test_every_class_has_advice_and_a_rank_of_its_own() -> None:
    assert set(ACTIONS) == set(XidClass)
    assert [kind.rank for kind in XidClass] == list(range(len(XidClass)))
    assert all(each.advice and each.description for each in XIDS)


@pytest.mark.parametrize("number", NVIDIA_IGNORES)
def test_xids_that_nvidias_plugin_ignores_are_harmless(number: int) -> None:
    assert XidPolicy().classify(number) is XidClass.APPLICATION


@pytest.mark.parametrize(
    ("number", "kind"),
    [(48, "reset"), (63, "ignore"), (74, "reset"), (79, "reboot"), (94, "application"), (95, "reset"), (119, "reset"), (54, "replace")],
)  # fmt: skip
def test_well_known_xids_have_the_expected_class(number: int, kind: str) -> None:
    assert xid_of(number).kind == kind


def test_an_unknown_xid_has_the_class_device() -> None:
    assert xid_of(999_999).kind is XidClass.DEVICE


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        pytest.param(XidPolicy(), {31: "application", 79: "reboot", 48: "reset"}, id="the-table"),
        pytest.param(XidPolicy(classes={79: XidClass.IGNORE}), {79: "ignore", 48: "reset"}, id="the-config-file"),
        pytest.param(XidPolicy(disabled={48}), {48: "ignore", 79: "reboot"}, id="one-disabled"),
        pytest.param(XidPolicy(all_disabled=True), {48: "ignore", 79: "ignore", 999: "ignore"}, id="all-disabled"),
        pytest.param(XidPolicy(enabled={31}), {31: "device", 13: "application"}, id="one-enabled"),
        pytest.param(XidPolicy(all_enabled=True), {31: "device", 63: "device", 79: "reboot"}, id="all-enabled"),
        pytest.param(
            XidPolicy(all_disabled=True, enabled={79}), {79: "reboot", 48: "ignore"}, id="all-disabled-but-one-enabled"
        ),
        pytest.param(XidPolicy(disabled={31, 79}, enabled={79}), {31: "ignore", 79: "reboot"}, id="both-lists"),
        pytest.param(XidPolicy(disabled={48}, all_enabled=True), {48: "reset"}, id="enable-all-wins"),
        pytest.param(
            XidPolicy(classes={94: XidClass.RESET}, all_disabled=True), {94: "reset", 48: "ignore"}, id="file-and-all"
        ),
        pytest.param(XidPolicy(classes={94: XidClass.IGNORE}, enabled={94}), {94: "device"}, id="environment-and-file"),
    ],
)
def test_environment_and_file_are_combined(policy: XidPolicy, kinds: dict[int, str]) -> None:
    assert {number: policy.classify(number) for number in kinds} == kinds

"""The table of Xids, and which of them count on a node."""

import pytest

from node_core.domain.xid import ACTIONS, XIDS, XidClass, XidPolicy, xid_of

NVIDIA_IGNORES = (13, 31, 43, 45, 68, 109)
OCCURRING = (
    8, 11, 13, 31, 32, 38, 43, 44, 45, 46, 48, 54, 56, 57, 58, 59, 60, 61, 62, 63, 64, 66, 68, 69, 71, 73, 74, 75, 76, 77, 78, 79, 80,
    81, 82, 83, 84, 92, 93, 94, 95, 96, 97, 109, 110, 116, 119, 120, 121, 122, 123, 136, 137, 140, 143, *range(144, 152), 154, 155, 156,
)  # fmt: skip


def test_each_number_is_in_the_table_once_and_in_order() -> None:
    numbers = [each.number for each in XIDS]
    assert numbers == sorted(set(numbers))
    assert set(OCCURRING) <= set(numbers)


def test_every_class_has_advice_and_a_rank_of_its_own() -> None:
    assert set(ACTIONS) == set(XidClass)
    assert [kind.rank for kind in XidClass] == list(range(len(XidClass)))
    assert all(each.advice and each.what for each in XIDS)


@pytest.mark.parametrize("number", NVIDIA_IGNORES)
def test_what_nvidias_plugin_ignores_takes_no_gpu_away(number: int) -> None:
    assert XidPolicy().kind(number) is XidClass.APPLICATION


@pytest.mark.parametrize(
    ("number", "kind"),
    [(48, "reset"), (63, "ignore"), (74, "reset"), (79, "reboot"), (94, "application"), (95, "reset"), (119, "reset"), (54, "replace")],
)  # fmt: skip
def test_the_best_known_ones_have_their_class(number: int, kind: str) -> None:
    assert xid_of(number).kind == kind


def test_an_unknown_number_takes_the_gpu_away_for_a_while() -> None:
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
def test_environment_and_file_work_together(policy: XidPolicy, kinds: dict[int, str]) -> None:
    assert {number: policy.kind(number) for number in kinds} == kinds

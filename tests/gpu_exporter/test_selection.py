"""Which series are exported: the defaults, or those of a file of counters."""

from gpu_exporter.counters_file import FieldType, parse_counters
from gpu_exporter.fields import FIELDS
from gpu_exporter.selection import KNOWN, Selection, select_series


def select(text: str) -> Selection:
    return select_series(parse_counters(text, KNOWN))


def names(selection: Selection) -> list[str]:
    return [each.name for each in selection.series]


OWN = ["gpunode_gpu_throttled_seconds_total", "gpunode_nvlink_bytes_total"]


def test_by_default_the_default_fields_are_exported() -> None:
    selection = select_series()
    assert names(selection)[-2:] == OWN
    of_dcgm = [field.name for field in FIELDS if field.is_default and field.number is not None]
    assert names(selection)[:-2] == [*of_dcgm, "DCGM_FI_DEV_XID_ERRORS", "DCGM_EXP_XID_ERRORS_COUNT"]
    assert [each.name for each in selection.labels] == ["DCGM_FI_DRIVER_VERSION"]


def test_a_file_selects_fields_in_its_order_with_its_types_and_texts() -> None:
    selection = select(
        "DCGM_FI_DEV_XID_ERRORS, gauge, Last one.\n"
        "DCGM_FI_DEV_GPU_TEMP, counter, Heat (in C).\n"
        "DCGM_FI_DEV_SM_CLOCK, gauge\n"
    )
    assert names(selection) == ["DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK", *OWN]
    first, second, third, *_ = selection.series
    assert (second.kind, second.help) == (FieldType.COUNTER, "Heat (in C).")
    assert third.help == "Clock of the multiprocessors."
    assert first.fields == ()
    assert selection.labels == ()


def test_only_selected_fields_are_read() -> None:
    fields = select("DCGM_FI_DEV_GPU_TEMP, gauge\nDCGM_FI_DEV_FB_TOTAL, label").fields
    assert {field.name for field in fields} == {*OWN, "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_FB_TOTAL"}


def test_a_file_without_fields_leaves_the_series_of_this_project() -> None:
    selection = select("")
    assert names(selection) == OWN
    assert selection.problems[0].startswith("the file selects no field")


def test_the_driver_version_is_a_label_only() -> None:
    selection = select("DCGM_FI_DRIVER_VERSION, gauge\nDCGM_FI_DEV_GPU_TEMP, gauge")
    assert names(selection) == ["DCGM_FI_DEV_GPU_TEMP", *OWN]
    assert selection.problems == ("DCGM_FI_DRIVER_VERSION is a text. Set its type to label.",)
    assert [each.name for each in select("DCGM_FI_DRIVER_VERSION, label").labels] == ["DCGM_FI_DRIVER_VERSION"]


def test_series_of_this_project_are_not_fields_of_a_file() -> None:
    assert not [name for name in KNOWN if name.startswith("gpunode_")]


def test_the_series_of_one_name_are_one_family() -> None:
    everything = names(select_series())
    assert len(everything) == len(set(everything))
    throttled = next(each for each in select_series().series if each.name == OWN[0])
    assert len(throttled.fields) == 5

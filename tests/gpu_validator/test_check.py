"""The results of the checks as a whole."""

from gpu_validator.check import Name, Report, failed, not_applicable, passed, skipped

PASSED = passed(Name.DRIVER, "driver 1 lists 2 GPUs")


def test_stages_are_valid_if_their_checks_pass_or_do_not_apply() -> None:
    report = Report(checks=(PASSED, not_applicable(Name.CUDA, "the GPUs are simulated")))
    assert report.is_valid((Name.DRIVER, Name.CUDA))


def test_stages_are_not_valid_if_a_check_failed_was_skipped_or_did_not_run() -> None:
    report = Report(checks=(PASSED, failed(Name.CDI, "a", "b"), skipped(Name.CONTAINER, Name.CDI)))
    assert [report.is_valid((name,)) for name in (Name.CDI, Name.CONTAINER, Name.KUBELET)] == [False, False, False]
    assert report.failure is not None
    assert report.failure.name is Name.CDI


def test_a_failure_is_two_sentences() -> None:
    assert failed(Name.CDI, "/dev/nvidia0 is missing", "restart it").text == "/dev/nvidia0 is missing. Restart it."


def test_a_node_without_gpus_is_not_valid_for_any_stage() -> None:
    assert not Report(has_gpus=False).is_valid((Name.DRIVER,))

"""Readiness checks, metrics and log lines of the plugin."""

from structlog.testing import capture_logs

from device_plugin.devices import Device, DeviceId, Plan, ReservedDevice
from device_plugin.report import Reporter
from gpu_core.domain.inventory import GpuUuid
from node_core.runtime.services import Services

ERRORS = b'gpunode_errors_total{agent="plugin",check="gpus"}'


def reserved(index: str, why: str) -> ReservedDevice:
    device = Device(id=DeviceId(index), uuid=index, index=index, gpu=GpuUuid(index))
    return ReservedDevice(device=device, why=why)


def test_each_new_problem_of_a_check_counts_as_one_error() -> None:
    services = Services()
    reporter = Reporter("plugin", services)
    for problem in ("lost", "lost", None, "lost", "hangs"):
        reporter.check("gpus", problem)
    assert services.readiness.problems()["plugin/gpus"] == "hangs"
    assert ERRORS + b" 3.0" in services.metrics.render()


def test_cleared_checks_have_no_problem() -> None:
    services = Services()
    reporter = Reporter("plugin", services)
    reporter.check("gpus", "lost")
    reporter.clear("gpus", "cdi")
    assert services.readiness.problems().get("plugin/gpus") is None


def test_only_new_notes_and_reservations_are_logged() -> None:
    reporter = Reporter("plugin", Services())
    plan = Plan(notes=("one",), reserved=(reserved("0", "reserved for tests"),))
    more = Plan(notes=("one", "two"), reserved=(*plan.reserved, reserved("1", "reserved for tests")))
    with capture_logs() as lines:
        for each in (plan, plan, more):
            reporter.report_plan(each)
    assert [(line["event"], line["why"], line.get("devices")) for line in lines] == [
        ("device_plan_warning", "one", None),
        ("devices_reserved", "reserved for tests", ["GPU 0 (0)"]),
        ("device_plan_warning", "two", None),
        ("devices_reserved", "reserved for tests", ["GPU 0 (0)", "GPU 1 (1)"]),
    ]

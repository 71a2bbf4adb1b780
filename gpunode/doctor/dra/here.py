"""All checks of gpu-dra-driver on this node."""

from collections.abc import Iterator
from pathlib import Path

from dra_driver.build import build_hardware
from dra_driver.names import AGENT
from dra_driver.settings import DraSettings, dra_settings
from gpu_core.assembly import Dependencies
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.dra.claims import check_allocated, check_specs, list_node_claims, read_recorded
from gpunode.doctor.dra.presence import DraNode
from gpunode.doctor.dra.registration import check_kubelet_dra, check_registrations
from gpunode.doctor.dra.slices import check_device_taints, check_devices, check_slices, has_counters
from gpunode.doctor.health_port import check_health_port
from node_core.errors import NodeError
from node_core.host.boot_id import read_boot_id
from node_core.kubelet.sockets import is_served
from node_core.runtime.http_port import parse_address
from node_core.scheduling.objects import Node
from node_core.values import replace

START = (
    "start gpu-dra-driver on this node, or remove what is left of it (gpunode cleanup). If it runs in a pod, run doctor in that pod:"
    " kubectl -n gpunode exec POD -- gpunode doctor"
)


def check_dra(
    dra: DraNode, dependencies: Dependencies, node: Node | None, *, is_unhealthy: bool, has_gpus: bool
) -> Iterator[Check]:
    """node: None if it was not read. is_unhealthy: another check states that a GPU is not healthy, and what it needs.

    has_gpus: doctor finds GPUs on the node.
    """
    listed = (
        list_node_claims(dependencies.node.api, dra.slices.version, dra.name)
        if dra.slices.version
        else dra.slices.problem or ""
    )
    recorded = read_recorded(dra.paths.claims_file, read_boot_id()) if dra.unread is None else None
    yield _check_agent(dra, has_claims=bool(recorded and recorded.claims))
    if recorded is not None and recorded.claims == {} and not dra.is_in_use:
        yield from (each for each in recorded.checks if each.status == "problem")
        return
    yield from _check_health(dra)
    yield from check_kubelet_dra(dra, node)
    yield from check_registrations(dra)
    yield from check_slices(dra.slices, node, is_expected=has_gpus and dra.state.is_running is not False)
    if dra.slices.slices:
        yield from _check_devices(dra, dependencies, is_unhealthy=is_unhealthy)
        yield from check_device_taints(dra.slices.slices, is_explained=is_unhealthy)
    if recorded is None:
        yield note("claims file", f"unknown: {dra.unread}")
        return
    yield from recorded.checks
    if recorded.claims is not None:
        yield from check_specs(dra.cdi_folder, recorded.claims)
        if isinstance(listed, str):
            yield note("claims", f"unknown which claims of the cluster have GPUs of this node: {listed}")
        else:
            yield from check_allocated(listed, recorded.claims, dra.name)


def _check_agent(dra: DraNode, *, has_claims: bool) -> Check:
    """has_claims: claims are recorded on this node."""
    if dra.state.is_running:
        return ok("agent", dra.state.sentence)
    if any(map(is_served, dra.registrations)):
        return note(
            "agent",
            f"{dra.state.sentence}. But a process serves its sockets: NVIDIA's DRA driver, or {AGENT} with another --lock-dir",
        )
    if dra.state.is_running is None:
        return note("agent", dra.state.sentence)
    if has_claims or dra.slices.slices:
        return problem("agent", dra.state.sentence, START)
    return note("agent", f"{dra.state.sentence}, and nothing uses what an earlier run left in {dra.paths.data}")


def _check_health(dra: DraNode) -> Iterator[Check]:
    values = dra.values or {}
    address: str = values.get("http_address") or ""
    certificate: Path | None = values.get("tls_cert_file")
    if address and parse_address(address)[1] != 0:
        yield from check_health_port(address, certificate, AGENT)
    elif dra.state.is_running:
        yield note("agent health", f"/readyz of {AGENT} was not read, because doctor does not know the port")


def _check_devices(dra: DraNode, dependencies: Dependencies, *, is_unhealthy: bool) -> Iterator[Check]:
    settings = DraSettings() if dra.values is None else dra_settings(dra.values)
    if dra.values is None:
        settings = replace(settings, dynamic_mig=has_counters(dra.slices.slices))
    try:
        found = build_hardware(settings, dependencies).read()
    except NodeError as error:
        yield note("devices", f"unknown: the GPUs cannot be read: {error}")
        return
    expected, has_faults = tuple(found.devices.values()), bool(found.inventory.faults)
    yield from check_devices(dra.slices.slices, expected, has_faults=has_faults, is_unhealthy=is_unhealthy)

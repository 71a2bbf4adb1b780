"""The gRPC methods of the services Registration and DRAPlugin.

Preparing a claim reads the API server and changes GPUs, so it runs in a pool of threads: the server's own thread never waits.
On the wire, a response that is sent later is the same as one that a method returns.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from dra_driver.claims.ref import ClaimRef
from dra_driver.kubelet.health import HEALTH_SERVICE
from dra_driver.names import DRIVER
from node_core.errors import NodeError
from node_core.grpc_h2.methods import Methods, ResponseStream, Streaming, Unary
from node_core.grpc_h2.status import CallError
from node_core.kubelet import dra_pb2 as pb
from node_core.kubelet import plugin_registration_pb2 as registration
from node_core.kubelet.rpc import parse

log = structlog.get_logger(__name__)

SERVICES = ("v1.DRAPlugin", "v1beta1.DRAPlugin")
"""As the kubelet names them, the preferred one first. Kubernetes 1.32 and 1.33 support only v1beta1."""
_PACKAGE = "k8s.io.kubelet.pkg.apis.dra"
MAX_CLAIMS = 256
"""Claims of one call. The kubelet sends the claims of one pod, and a pod can have far fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDevice:
    """A device of a prepared claim. requests: of the claim. cdi: CDI names, which the container runtime injects."""

    requests: tuple[str, ...]
    pool: str
    device: str
    cdi: tuple[str, ...]
    share_id: str | None = None


Prepare = Callable[[ClaimRef], tuple[PreparedDevice, ...]]
"""Raises NodeError if the claim cannot be prepared now."""
Unprepare = Callable[[ClaimRef], None]
"""Raises NodeError if the claim cannot be reverted now."""


def dra_methods(prepare: Prepare, unprepare: Unprepare, executor: Executor) -> Methods:
    """Returns the methods of both versions of DRAPlugin. prepare, unprepare: run in the executor, for one claim."""
    calls: dict[str, tuple[Any, Callable[[Iterable[ClaimRef]], Any]]] = {
        "NodePrepareResources": (pb.NodePrepareResourcesRequest, partial(_prepare_all, prepare)),
        "NodeUnprepareResources": (pb.NodeUnprepareResourcesRequest, partial(_unprepare_all, unprepare)),
    }
    return {
        f"/{_PACKAGE}.{service}/{method}": Streaming(partial(_begin, executor, request_type, respond))
        for service in SERVICES
        for method, (request_type, respond) in calls.items()
    }


def registration_methods(endpoint: str, on_status: Callable[[str | None], None]) -> Methods:
    """Returns the methods of Registration. endpoint: path of the socket of DRAPlugin, on the host.

    on_status: called in the server's thread with None if the kubelet has registered the driver, or with the kubelet's error.
    """
    services = (*SERVICES, HEALTH_SERVICE)
    info = registration.PluginInfo(type="DRAPlugin", name=DRIVER, endpoint=endpoint, supported_versions=services)

    def report(content: bytes) -> bytes:
        status = parse(registration.RegistrationStatus, content)
        on_status(None if status.plugin_registered else status.error or "the kubelet gave no reason")
        return bytes(registration.RegistrationStatusResponse().SerializeToString())

    return {
        "/pluginregistration.Registration/GetInfo": Unary(lambda _: bytes(info.SerializeToString())),
        "/pluginregistration.Registration/NotifyRegistrationStatus": Unary(report),
    }


def _begin(
    executor: Executor,
    request_type: Any,
    respond: Callable[[Iterable[ClaimRef]], Any],
    content: bytes,
    out: ResponseStream,
) -> None:
    claims = parse(request_type, content).claims
    if len(claims) > MAX_CLAIMS:
        raise CallError("INVALID_ARGUMENT", f"{len(claims)} claims in one call: at most {MAX_CLAIMS} are possible")
    refs = [ClaimRef(namespace=each.namespace, name=each.name, uid=each.uid) for each in claims]
    try:
        executor.submit(_respond, respond, refs, out)
    except RuntimeError as error:  # the executor has ended, or no thread can start
        raise CallError("UNAVAILABLE", f"the driver ends, or cannot start a thread: {error}") from error


def _respond(respond: Callable[[Iterable[ClaimRef]], Any], claims: Iterable[ClaimRef], out: ResponseStream) -> None:
    try:
        response = respond(claims).SerializeToString()
    except Exception as error:
        log.exception("claims_failed")
        out.abort("INTERNAL", f"{type(error).__name__}: {error}")
        return
    out.send(response)
    out.close()


def _prepare_all(prepare: Prepare, claims: Iterable[ClaimRef]) -> pb.NodePrepareResourcesResponse:
    return pb.NodePrepareResourcesResponse(claims={claim.uid: _prepare(prepare, claim) for claim in claims})


def _prepare(prepare: Prepare, claim: ClaimRef) -> pb.NodePrepareResourceResponse:
    error, devices = _attempt("claim_not_prepared", claim, partial(prepare, claim))
    if error is not None:
        return pb.NodePrepareResourceResponse(error=error)
    return pb.NodePrepareResourceResponse(devices=[_render(each) for each in devices or ()])


def _render(device: PreparedDevice) -> pb.Device:
    """A subrequest `gpu/large` becomes the request `gpu`: containers name requests, and the kubelet compares whole names."""
    requests = dict.fromkeys(name.partition("/")[0] for name in device.requests)
    rendered = pb.Device(
        request_names=requests, pool_name=device.pool, device_name=device.device, cdi_device_ids=device.cdi
    )
    if device.share_id is not None:
        rendered.share_id = device.share_id
    return rendered


def _unprepare_all(unprepare: Unprepare, claims: Iterable[ClaimRef]) -> pb.NodeUnprepareResourcesResponse:
    errors = {claim.uid: _attempt("claim_not_unprepared", claim, partial(unprepare, claim))[0] for claim in claims}
    return pb.NodeUnprepareResourcesResponse(
        claims={uid: pb.NodeUnprepareResourceResponse(error=error or "") for uid, error in errors.items()}
    )


def _attempt(event: str, claim: ClaimRef, action: Callable[[], Any]) -> tuple[str | None, Any]:
    """Returns the error of one claim, which never affects the others, or the result."""
    try:
        return None, action()
    except NodeError as error:
        log.warning(event, claim=str(claim), uid=claim.uid, why=str(error))
        return str(error), None
    except Exception as error:
        log.exception(event, claim=str(claim), uid=claim.uid)
        return f"{type(error).__name__}: {error}", None

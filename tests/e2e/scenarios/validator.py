"""gpu-validator validates a node after its registration, and again after a change that breaks a stage."""

from pathlib import Path

from gpu_validator.container import LABELS
from gpu_validator.files import FOLDER, STAGES
from node_core.grpc_h2.client import Client
from node_core.kubelet import cri_pb2 as pb
from node_core.kubelet.rpc import call
from tests.e2e.cluster.layout import RUN_DIR
from tests.e2e.driver import driver_flags
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import GPU, Setup, World

SPEC = Path("/var/run/cdi/k8s.device-plugin.nvidia.com-gpu.json")


def a_node_is_validated_up_to_a_container_after_the_registration(world: World) -> None:
    start(world)
    message = until_reason(world, "Validated")
    assert (
        message == "The GPUs are simulated. Passed: driver, cdi, kubelet, container."
        " Not applicable: device-nodes, cuda, resource-slices."
    )
    world.until("the files", lambda: files() == set(STAGES))
    assert "IS_HOST_DRIVER=false" in (FOLDER / "driver-ready").read_text()
    assert sandboxes() == [], "the sandbox of the check remains"
    world.until_allocatable({GPU: "8"})


def a_deleted_cdi_specification_is_found_and_its_return_too(world: World) -> None:
    start(world)
    until_reason(world, "Validated")
    content = SPEC.read_bytes()
    with world.measured("deleted CDI specification to GPUValidated=False"):
        SPEC.unlink()
        assert "no CDI specification of k8s.device-plugin" in until_reason(world, "CDIFailed")
    assert files() == {"driver-ready"}
    assert "CDIFailed" in str(world.gpunode("nodes"))
    SPEC.write_bytes(content)
    until_reason(world, "Validated")
    world.until("the files", lambda: files() == set(STAGES))


def start(world: World) -> None:
    """The plugin writes its specifications again after an hour only."""
    driver = driver_flags(world.fake_driver())
    plugin = ("--device-list-strategy=cdi-cri", "--sleep-interval=1h", *driver)
    validator = ("--device-list-strategy=cdi-cri", *driver)
    world.agents(Setup(plugin_flags=plugin, validates=True, validator_flags=validator))


def until_reason(world: World, reason: str) -> str:
    """Waits for the condition GPUValidated with this reason. Returns its message."""

    def message() -> str | None:
        conditions = world.get("node", world.node)["status"].get("conditions", ())
        found = (each for each in conditions if each["type"] == "GPUValidated" and each["reason"] == reason)
        return next((str(each["message"]) for each in found), None)

    return str(world.until(f"GPUValidated with the reason {reason}", message))


def files() -> set[str]:
    """The node is this machine."""
    return {each.name for each in FOLDER.iterdir()} if FOLDER.exists() else set()


def sandboxes() -> list[str]:
    """The sandboxes of the check in the container runtime."""
    request = pb.ListPodSandboxRequest(filter=pb.PodSandboxFilter(label_selector=LABELS))
    with Client(RUN_DIR / "containerd.sock") as client:
        method = "/runtime.v1.RuntimeService/ListPodSandbox"
        found = call(client, method, request, pb.ListPodSandboxResponse, timeout=10.0)
    return [each.id for each in found.items]


SCENARIOS = (
    Scenario(a_node_is_validated_up_to_a_container_after_the_registration, real_only=NO_CONTAINERS),
    Scenario(a_deleted_cdi_specification_is_found_and_its_return_too, real_only=NO_CONTAINERS),
)

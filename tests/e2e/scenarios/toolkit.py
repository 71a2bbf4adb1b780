"""gpu-toolkit on a node whose containerd has CDI on, off, or breaks with CDI."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from gpu_toolkit.settings import STATE_DIR
from tests.e2e.driver import driver_flags
from tests.e2e.objects import pod
from tests.e2e.overlay import NAMESPACE, TOOLKIT
from tests.e2e.runtime import DROP_INS
from tests.e2e.scenarios.cdi import gpu_nodes
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import COMMAND_S, GPU, Runtime, Setup, World


def a_runtime_with_cdi_is_not_changed(world: World) -> None:
    runtime = world.runtime()
    before = runtime.config.read_bytes()
    world.agents(Setup(toolkit_flags=()))
    assert '"reason": "CDIReady"' in world.log(TOOLKIT)
    assert (runtime.config.read_bytes(), runtime.restarts) == (before, 0)


def cdi_that_is_off_is_switched_on_and_put_back(world: World) -> None:
    runtime = world.runtime()
    with cdi_off(runtime):
        before = runtime.config.read_bytes()
        world.apply(pod("stays"))
        world.until_running("stays")
        process = container(world, runtime)
        driver = driver_flags(world.fake_driver())
        with runtime.serving():
            world.agents(
                Setup(toolkit_flags=restarting(runtime), plugin_flags=("--device-list-strategy=cdi-cri", *driver))
            )
            assert [file.name for file in runtime.config.with_name(DROP_INS).iterdir()] == ["99-gpunode.toml"]
            assert (runtime.restarts, runtime.config.read_bytes(), container(world, runtime)) == (1, before, process)
            world.until_allocatable({GPU: "8"})
            world.apply(pod("gpu", {GPU: 2}))
            world.until_running("gpu")
            assert len(gpu_nodes(world.container("gpu"))) == 2
            delete_agent(world)
            assert toolkit("revert", *restarting(runtime)) == 0
        assert (runtime.restarts, runtime.config.read_bytes(), container(world, runtime)) == (2, before, process)
        assert not runtime.config.with_name(DROP_INS).exists()
        assert toolkit("status") == 1


def a_config_that_breaks_the_runtime_is_put_back(world: World) -> None:
    runtime = world.runtime()
    with cdi_off(runtime):
        before = runtime.config.read_bytes()
        world.apply(pod("stays"))
        world.until_running("stays")
        process = container(world, runtime)
        with runtime.serving(breaks=True):
            assert toolkit("apply", *restarting(runtime)) == 1
        assert (runtime.restarts, runtime.config.read_bytes(), container(world, runtime)) == (2, before, process)
        assert not runtime.config.with_name(DROP_INS).exists()
        world.apply(pod("starts"))
        world.until_running("starts")


@contextlib.contextmanager
def cdi_off(runtime: Runtime) -> Iterator[None]:
    """Within the block, containerd has CDI off, and imports drop-in files."""
    before = runtime.config.read_text()
    imports = f'imports = ["{runtime.config.with_name(DROP_INS)}/*.toml"]'
    off = before.replace("enable_cdi = true", "enable_cdi = false").replace("version = 3", f"version = 3\n{imports}")
    record = STATE_DIR / "toolkit.json"  # a refused change is not tried again while this file exists
    record.unlink(missing_ok=True)
    runtime.config.write_text(off)
    runtime.restart()
    try:
        yield
    finally:
        record.unlink(missing_ok=True)
        for file in runtime.config.with_name(DROP_INS).glob("*"):
            file.unlink()
        runtime.config.write_text(before)
        runtime.restart()


def restarting(runtime: Runtime) -> tuple[str, ...]:
    return ("--runtime-restart-mode=command", f"--runtime-restart-command={runtime.restart_command}")


def container(world: World, runtime: Runtime) -> tuple[str, int]:
    """The id and the pid of the pod that must survive."""
    (status,) = world.get("pod", "stays")["status"]["containerStatuses"]
    return status["containerID"], runtime.pid(status["containerID"])


def delete_agent(world: World) -> None:
    world.kubectl("delete", "daemonset", TOOLKIT, "-n", NAMESPACE)
    selector = f"app.kubernetes.io/name={TOOLKIT}"
    world.until(
        "the end of the agent", lambda: not world.kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "name")
    )


def toolkit(*arguments: str) -> int:
    """Runs `gpunode toolkit` on this machine. Returns its exit status."""
    command = (sys.executable, "-m", "gpunode", "toolkit", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3 * COMMAND_S)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode


NEEDS_RUNTIME = f"{NO_CONTAINERS}, and has no container runtime"
SCENARIOS = (
    Scenario(a_runtime_with_cdi_is_not_changed, real_only=NEEDS_RUNTIME),
    Scenario(cdi_that_is_off_is_switched_on_and_put_back, real_only=NEEDS_RUNTIME),
    Scenario(a_config_that_breaks_the_runtime_is_put_back, real_only=NEEDS_RUNTIME),
)

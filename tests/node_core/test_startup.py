"""Which modules the programs import. Each test starts a new Python process."""

import json
import subprocess
import sys

import pytest

from tests.packages import PACKAGES

PROBE = """
import gc, json, sys
sys.modules["rich"] = None  # as if rich is not installed: structlog imports rich where it is
import {program}
loaded = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps([loaded, gc.isenabled(), gc.get_freeze_count() > 10000]))
"""
FOR_TERMINALS = {"pygments", "attr"}
LARGE = {"kubernetes", "cryptography", "pynvml", "grpc"}


@pytest.mark.parametrize(
    ("program", "more"),
    [
        ("nfd_lite.__main__", {"h2", "asyncio"}),
        ("gfd.__main__", {"h2", "asyncio"}),
        ("nfd_lite.topology.__main__", {"re2"}),
        ("device_plugin.__main__", set()),
        ("gpu_exporter.__main__", {"re2"}),
        ("mig_manager.__main__", set()),
        ("driver_manager.__main__", {"h2", "re2", "asyncio"}),
        ("gpu_operator.__main__", {"kopf", "aiohttp"}),
        ("gpu_validator.__main__", {"re2"}),
        ("gpunode.__main__, gpunode.run", set()),
    ],
)
def test_a_node_program_imports_only_required_modules(program: str, more: set[str]) -> None:
    code = PROBE.format(program=program)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded, collects, is_frozen = json.loads(done.stdout)
    assert {*loaded} & {*FOR_TERMINALS, *LARGE, *more, "simulation"} == set()
    assert (collects, is_frozen) == (True, True)


def test_gpunode_run_disables_the_garbage_collector_while_it_imports_the_agents() -> None:
    code = """
import gpunode.__main__, gc, node_core.startup
collects, freeze_gc = [gc.isenabled()], node_core.startup.freeze_gc
def recorded():
    collects.append(gc.isenabled())
    freeze_gc()
    collects.append(gc.isenabled())
node_core.startup.freeze_gc = recorded
try:
    gpunode.__main__.gpunode(["run", "--version"])
finally:
    print(collects)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "[True, False, True]"


def test_structlog_imports_asyncio_at_the_first_use() -> None:
    code = """
import node_core.startup, structlog, sys
assert "asyncio" not in sys.modules
import asyncio
assert structlog.stdlib.asyncio.get_running_loop is asyncio.get_running_loop
asyncio.run(structlog.get_logger().ainfo("written"))
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_asyncio_that_is_already_imported_is_not_replaced() -> None:
    code = "import asyncio, sys; import node_core.startup; assert sys.modules['asyncio'] is asyncio"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_few_of_the_imported_classes_are_dataclasses() -> None:
    """Python compiles the methods of each dataclass during the import: 1 ms a class. Settings are dataclasses."""
    code = """
import gpunode.__main__, gpunode.run, json, sys
kinds = [kind for module in list(sys.modules.values()) for kind in vars(module).values() if isinstance(kind, type)]
made = {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if "__dataclass_fields__" in vars(kind)}
print(json.dumps(sorted(made)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    ours = [name for name in json.loads(done.stdout) if name.partition(".")[0] in PACKAGES and ".settings." not in name]
    assert len(ours) <= 30, ours

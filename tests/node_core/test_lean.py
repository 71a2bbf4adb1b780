"""What the programs of a node do not import, in processes of their own."""

import json
import subprocess
import sys

import pytest

PROBE = """
import {program}
import gc, json, sys
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & {{"rich", "pygments", "attr", "kubernetes", "cryptography"}})
simulation = sorted(name for name in sys.modules if name.startswith("node_core.simulate"))
import rich.console
print(json.dumps([loaded, simulation, gc.isenabled(), gc.get_freeze_count() > 10000]))
"""


@pytest.mark.parametrize("program", ["nfd_lite.__main__", "gfd.__main__", "device_plugin.__main__", "gpunode.run"])
def test_a_program_of_a_node_imports_what_it_needs(program: str) -> None:
    code = PROBE.format(program=program)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded, simulation, collects, is_settled = json.loads(done.stdout)
    assert (loaded, simulation) == ([], []), "for people, for tests, or not before there is a cluster"
    assert (collects, is_settled) == (True, True)


def test_where_rich_is_there_already_it_stays() -> None:
    code = "import rich, sys; import node_core.lean; assert sys.modules['rich'] is rich"
    subprocess.run([sys.executable, "-c", code], check=True)

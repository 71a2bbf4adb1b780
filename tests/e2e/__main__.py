"""`python -m tests.e2e [pytest arguments]`, which `make e2e` runs: starts a cluster, runs every scenario and removes the cluster.

KEEP=1 retains the cluster.
"""

import os
import signal
import sys

import pytest

from tests.e2e.cluster import down, up
from tests.e2e.cluster.build import cache_folder
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.image import build_gpunode
from tests.e2e.cluster.needs import meet_needs

OPTIONS = (
    "-m",
    "e2e",
    "-n",
    "0",
    "-p",
    "no:randomly",
    "-v",
    "tests/e2e/test_originals.py",
    "tests/e2e/test_containerd_config.py",
    "tests/e2e/test_prometheus.py",
    "tests/e2e/test_real_cluster.py",
    "tests/e2e/test_policy.py",
    "tests/e2e/test_dra_scheduling.py",
    "tests/e2e/test_dra_daemon_set.py",
    "tests/e2e/test_dra_pods.py",
)


def main(arguments: list[str]) -> int:
    """Returns the exit status. A missing requirement of this machine is a failure in CI; elsewhere all tests are skipped."""
    try:
        meet_needs(cache_folder(), _say)
    except ClusterError as error:
        _say(f"make e2e: {'failed' if os.environ.get('CI') == 'true' else 'skipped'}: {error}")
        return 1 if os.environ.get("CI") == "true" else 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        up(say=_say).import_image(build_gpunode(cache_folder()))
        return pytest.main([*OPTIONS, *arguments])
    finally:
        if os.environ.get("KEEP") != "1":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            down()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ClusterError as failure:
        sys.exit(f"make e2e: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)

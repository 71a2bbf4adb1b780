"""`python -m tests.e2e.cluster.keeper <kubeconfig>`: renews the leases of Nodes without a kubelet until the process is killed."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.cluster.api import Api
from tests.e2e.cluster.nodes import renew_leases

INTERVAL_S = 10.0
"""A quarter of the lease duration, as in the kubelet."""


def main(kubeconfig: Path) -> None:
    api = Api(kubeconfig)
    while True:
        try:
            renew_leases(api, datetime.now(UTC))
        except OSError as error:
            print(f"cannot renew leases: {error}", flush=True)
        time.sleep(INTERVAL_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

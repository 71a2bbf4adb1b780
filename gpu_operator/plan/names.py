"""The names of DaemonSets. PURE.

The DaemonSets of the object `default` on amd64 have the names of NVIDIA's GPU Operator. The architecture, and the name of another object,
are added to the name. So a new object or Node changes no name of an existing DaemonSet.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping

from gpu_operator.plan.assign import DEFAULT
from gpu_operator.plan.pools import NodePool
from gpu_operator.view import DRIVER_APP

MAX_NAME = 63
"""The name is also the value of a label."""
_DIGEST = 8
_USUAL = "amd64"


def name_pools(pools: Iterable[NodePool]) -> Mapping[NodePool, str]:
    """Returns the name of the DaemonSet of each pool. All names differ."""
    names: dict[NodePool, str] = {}
    for pool in sorted(pools):
        name = daemon_set_name(pool)
        names[pool] = name if name not in names.values() else _with_digest(name, pool)
    return names


def daemon_set_name(pool: NodePool) -> str:
    """Returns `nvidia-driver-daemonset[-KERNEL]-OS[-ARCHITECTURE][-OBJECT]`."""
    is_default = pool.driver == DEFAULT
    kernel = pool.kernel.replace("_", ".")
    architecture = "" if is_default and pool.architecture == _USUAL else pool.architecture
    parts = (DRIVER_APP, kernel, pool.os_tag, architecture, "" if is_default else pool.driver)
    wanted = "-".join(filter(None, parts))
    name = _valid(wanted)
    return name if name == wanted and len(name) <= MAX_NAME else _with_digest(name, pool)


def _valid(text: str) -> str:
    """Returns the text as a DNS subdomain."""
    return re.sub(r"[.-]*\.[.-]*", ".", re.sub(r"[^a-z0-9.-]", "-", text.lower())).strip("-.")


def _with_digest(name: str, pool: NodePool) -> str:
    key = (pool.driver, pool.os_id, pool.os_version, pool.architecture, pool.kernel)
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:_DIGEST]
    return f"{name[: MAX_NAME - _DIGEST - 1].rstrip('-.')}-{digest}"

"""The plan of one pass: everything that must be written so that the cluster has the drivers that its NVIDIADrivers request. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpu_operator.plan.assign import Assignment, assign_nodes, node_selector
from gpu_operator.plan.driver_pods import Reason, Wait, find_wait, pods_by_node
from gpu_operator.plan.names import name_pools
from gpu_operator.plan.node_facts import NodeFacts, read_facts
from gpu_operator.plan.pools import NodePool, NodePools, divide_nodes
from gpu_operator.plan.stale import Deletion, plan_deletions
from gpu_operator.plan.status import DriverState, NodePoolState
from gpu_operator.render.daemon_set import is_applied, render_daemon_set
from gpu_operator.render.image import driver_image
from gpu_operator.render.pod import OperatorImages
from gpu_operator.spec import Decoded, DriverSpec, decode_driver
from gpu_operator.view import ClusterView, Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """daemon_sets: to apply, by `namespace/name`. deletions: of DaemonSets.

    owners: Node -> the new value of its label OWNER; None to remove it. states: NVIDIADriver -> what its status states.
    """

    daemon_sets: Mapping[str, Obj] = field(default_factory=dict)
    deletions: tuple[Deletion, ...] = ()
    owners: Mapping[str, str | None] = field(default_factory=dict)
    states: Mapping[str, DriverState] = field(default_factory=dict)


def plan_cluster(view: ClusterView, namespace: str, images: OperatorImages) -> ClusterPlan:
    """namespace: of the DaemonSets."""
    drivers = {name: driver for name, driver in view.drivers.items() if not driver["metadata"].get("deletionTimestamp")}
    decoded = {name: decode_driver(driver) for name, driver in drivers.items()}
    specs = {name: each.spec for name, each in decoded.items()}
    usable = {name: spec for name, spec in specs.items() if spec is not None}
    facts = read_facts(view.nodes)
    assignment = assign_nodes(facts, specs)
    pools = divide_nodes(facts, assignment.owners, specs)
    names = name_pools(pools.nodes)
    desired = {
        f"{namespace}/{names[pool]}": render_daemon_set(
            names[pool],
            namespace,
            usable[pool.driver],
            pool,
            driver_uid=drivers[pool.driver]["metadata"]["uid"],
            images=images,
        )
        for pool in pools.nodes
    }
    pool_nodes = [node for nodes in pools.nodes.values() for node in nodes]
    waits = _find_waits(facts, assignment, pools, specs, view)
    return ClusterPlan(
        daemon_sets={key: each for key, each in desired.items() if not is_applied(each, view.daemon_sets.get(key))},
        deletions=plan_deletions(view, desired.keys(), usable.keys(), pool_nodes),
        owners=plan_owners(facts, assignment),
        states={
            name: _state(name, decoded[name], usable, pools, names, waits.get(name, {})) for name in sorted(drivers)
        },
    )


def plan_owners(facts: tuple[NodeFacts, ...], assignment: Assignment) -> dict[str, str | None]:
    """Returns the changes of the label OWNER. A Node that several objects select keeps its label."""
    changes: dict[str, str | None] = {}
    for node in facts:
        wanted = assignment.owners.get(node.name)
        if node.name not in assignment.conflicts and (wanted or "") != node.owner:
            changes[node.name] = wanted
    return changes


def _state(
    name: str,
    decoded: Decoded,
    usable: Mapping[str, DriverSpec],
    pools: NodePools,
    names: Mapping[NodePool, str],
    waits: Mapping[str, Wait],
) -> DriverState:
    states = [
        NodePoolState(pool=pool, name=names[pool], image=driver_image(usable[name], pool), nodes=nodes)
        for pool, nodes in pools.nodes.items()
        if pool.driver == name
    ]
    return DriverState(decoded=decoded, pools=states, waits=waits)


def _find_waits(
    facts: tuple[NodeFacts, ...],
    assignment: Assignment,
    pools: NodePools,
    specs: Mapping[str, DriverSpec | None],
    view: ClusterView,
) -> dict[str, dict[str, Wait]]:
    """Returns NVIDIADriver -> Node -> why the Node has no ready driver."""
    pods = pods_by_node(view.pods)
    selectors = {name: node_selector(name, spec) for name, spec in specs.items()}
    waits: dict[str, dict[str, Wait]] = {name: {} for name in specs}
    for node in facts:
        if not node.has_gpu:
            continue
        if (excluded := _excluded(node)) is not None:
            drivers: tuple[str, ...] = tuple(name for name, selects in selectors.items() if selects(node))
            wait: Wait | None = excluded
        elif node.name in assignment.conflicts:
            drivers, wait = assignment.conflicts[node.name], _claimed(assignment.conflicts[node.name])
        elif (owner := assignment.owners.get(node.name)) is not None:
            drivers, wait = (owner,), _pool_wait(node, pools) or find_wait(pods.get(node.name))
        else:
            continue
        if wait is not None:
            for name in drivers:
                waits[name][node.name] = wait
    return waits


def _excluded(node: NodeFacts) -> Wait | None:
    if node.has_own_driver:
        return Wait(reason=Reason.PRE_INSTALLED, message="The Node has a driver of its own.")
    if node.is_opted_out:
        return Wait(reason=Reason.OPTED_OUT, message="A label nvidia.com/gpu.deploy.* of the Node excludes drivers.")
    return None


def _claimed(drivers: tuple[str, ...]) -> Wait:
    names = f"{', '.join(drivers[:-1])} and {drivers[-1]}"
    message = f"The Node is selected by {names}, and keeps its driver. Change a nodeSelector so that one of them selects the Node."
    return Wait(reason=Reason.CLAIMED_TWICE, message=message)


def _pool_wait(node: NodeFacts, pools: NodePools) -> Wait | None:
    if (missing := pools.missing.get(node.name)) is not None:
        message = f"The Node lacks the labels {', '.join(missing)}. Run nfd-lite or Node Feature Discovery on the Node."
        return Wait(reason=Reason.MISSING_LABELS, message=message)
    if (refused := pools.refused.get(node.name)) is not None:
        return Wait(reason=Reason.NOT_SUPPORTED, message=f"{refused[0].upper()}{refused[1:]}.")
    return None

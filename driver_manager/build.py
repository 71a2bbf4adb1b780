"""Connects the steps with the node and the API server."""

import time
from functools import partial
from pathlib import Path

from driver_manager.clients import NvmlRelease
from driver_manager.cordon import NodeCordon
from driver_manager.driver_files import DriverFiles
from driver_manager.evictor import Evictor
from driver_manager.modules import ModuleUnloader, delete_module
from driver_manager.settings import NAME, DriverSettings
from driver_manager.uninstaller import DriverUninstaller, Options
from driver_manager.users import list_device_users
from driver_manager.wait import Waiter
from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import Pause
from node_core.host.root import HostRoot
from node_core.kube.client import NodeApi
from node_core.kube.pods import PodApi


def build_uninstaller(settings: DriverSettings, api: NodeApi, root: HostRoot, lock_dir: Path) -> DriverUninstaller:
    """lock_dir: of the agents of this node."""
    waiter = Waiter()
    return DriverUninstaller(
        root=root,
        files=DriverFiles(),
        unloader=ModuleUnloader(
            root=root,
            delete=delete_module,
            list_users=partial(list_device_users, root.path("/proc")),
            sleep=time.sleep,
        ),
        release=NvmlRelease(lock_dir=lock_dir, waiter=waiter, wall=time.time),
        pause=DaemonSetPause(api=api, list_pods=PodApi(api).list_on_node, manager=NAME, pause=Pause.DRIVER_UPGRADE),
        cordon=NodeCordon(api=api, node_name=api.node_name, manager=NAME),
        evictor=Evictor(api=api, node_name=api.node_name, policy=settings.policy, waiter=waiter),
        waiter=waiter,
        options=Options(wanted=settings.wanted, evicts_gpu_pods=settings.evicts_gpu_pods, drains=settings.drains),
    )

"""The sockets of a driver that prepares nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dra_driver.kubelet.plugin import DraSockets, PluginPaths, plugin_paths
from dra_driver.kubelet.services import dra_methods, registration_methods


@contextmanager
def serve_driver(kubelet_root: Path, instance: str = "") -> Iterator[PluginPaths]:
    paths = plugin_paths(kubelet_root, instance)
    paths.registry.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as executor:
        methods = dra_methods(lambda _: (), lambda _: None, executor)
        sockets = DraSockets(paths, methods, registration_methods(str(paths.socket), lambda _: None))
        sockets.ensure()
        try:
            yield paths
        finally:
            sockets.stop()

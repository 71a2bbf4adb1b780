"""Reads kubeconfig files with the kubernetes package, which supports exec plugins, certificates and token renewal.

Only this module imports the kubernetes package. A process in a pod does not import this module.
"""

import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3.exceptions
import yaml
from kubernetes import config
from kubernetes.client import Configuration

from node_core.decode import read_yaml
from node_core.errors import KubeError, SettingsError
from node_core.kube.cluster import Cluster
from node_core.kube.proxy import is_direct
from node_core.schema import suggest

SHOWN = 20
"""Maximum number of contexts in a message."""

_UNUSABLE = (
    config.ConfigException,
    yaml.YAMLError,
    urllib3.exceptions.HTTPError,
    ImportError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)
"""Exceptions that the package raises for unusable files."""


def read_kubeconfig(files: str, context: str | None = None) -> Cluster:
    """Reads kubeconfig files. files: paths, separated by colons. context: None for the current context. Raises KubeError."""
    configuration = Configuration()
    try:
        _require_files(files)
        selected = _select_context(files, context)
        with _logged_errors() as errors:
            config.load_kube_config(config_file=files, context=context, client_configuration=configuration)
        if errors and not configuration.api_key and configuration.cert_file is None:
            raise _failed_plugin(files, errors)
        return _cluster(configuration, files, (selected.get("context") or {}).get("namespace"))
    except _UNUSABLE as error:
        raise _unusable(files, error) from error


def _select_context(files: str, name: str | None) -> Mapping[str, Any]:
    """Returns the named context, or the current one. Raises KubeError for an unknown name."""
    contexts, current = config.list_kube_config_contexts(config_file=files)
    if name is None:
        return current or {}
    for each in contexts:
        if each["name"] == name:
            return dict(each)
    names = [str(each["name"]) for each in contexts]
    known = f"the contexts are {', '.join(names[:SHOWN])}" if names else "the file has no contexts"
    raise KubeError(f"{files}: there is no context {name!r}{suggest(name, names)}", hint=known)


def _cluster(configuration: Configuration, files: str, namespace: str | None) -> Cluster:
    proxy = configuration.proxy
    return Cluster(
        server=configuration.host,
        authorization=lambda: _authorization(configuration, files),
        is_verified=configuration.verify_ssl,
        ca_file=configuration.ssl_ca_cert,
        ca_data=configuration.ca_cert_data,
        certificate_file=configuration.cert_file,
        key_file=configuration.key_file,
        server_name=configuration.tls_server_name,
        proxy=proxy if proxy and not is_direct(urlsplit(configuration.host), configuration.no_proxy or "") else None,
        namespace=namespace,
    )


def _authorization(configuration: Configuration, files: str) -> str | None:
    """Returns the Authorization header for a token or a password. The package renews an expired token."""
    try:
        with _logged_errors() as errors:
            header = configuration.get_api_key_with_prefix("BearerToken")
    except _UNUSABLE as error:
        raise _unusable(files, error) from error
    if errors:  # the header contains the expired token
        raise _failed_plugin(files, errors)
    return None if header is None else str(header)


class _Collector(logging.Handler):
    """Collects the messages of one thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self._thread_id = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread_id:
            self.messages.append(record.getMessage())


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collects the errors of the block. The package logs the failure of an exec plugin, and continues without credentials."""
    collector = _Collector()
    logging.getLogger().addHandler(collector)
    try:
        yield collector.messages
    finally:
        logging.getLogger().removeHandler(collector)


def _failed_plugin(files: str, errors: Sequence[str]) -> KubeError:
    """errors: of the package, for example `[Errno 2] No such file or directory: 'aws'`."""
    why = "; ".join(re.sub(r"^\[Errno \d+\] |^exec: ", "", error) for error in errors)
    hint = "install the program that users[].exec.command names, or run it to see why it fails"
    return KubeError(f"no usable cluster configuration: {files}: the exec plugin fails: {why}", hint=hint)


def _unusable(files: str, error: Exception) -> KubeError:
    hint = "correct the file, or set another one in --kubeconfig or KUBECONFIG"
    return KubeError(f"no usable cluster configuration: {_file_problem(files) or f'{files}: {error}'}", hint=hint)


def _file_problem(files: str) -> str | None:
    """Returns why one of the files cannot be read or is not YAML, in place of the message of a library."""
    try:
        for path in filter(None, files.split(":")):
            if not isinstance(read_yaml(Path(path)), dict):
                return f"{path}: is not a kubeconfig"
    except SettingsError as error:
        return str(error)
    return None


def _require_files(files: str) -> None:
    """Raises OSError for unreadable files and for pipes. The package would report an unreadable file as invalid, and block on a pipe."""
    for path in map(Path, filter(None, files.split(":"))):
        if path.exists() and not path.is_file():
            raise OSError(f"{path} is not a regular file")
        path.open().close()

"""Reads kubeconfig files with the kubernetes package, which supports exec plugins, certificates and token renewal.

Only this module imports the kubernetes package. A process in a pod does not import this module.
"""

from pathlib import Path
from urllib.parse import urlsplit

import urllib3.exceptions
import yaml
from kubernetes import config
from kubernetes.client import Configuration

from node_core.decode import read_yaml
from node_core.errors import KubeError, SettingsError
from node_core.kube.cluster import Cluster
from node_core.kube.proxy import is_direct

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


def read_kubeconfig(files: str) -> Cluster:
    """Reads kubeconfig files. files: paths, separated by colons. Raises KubeError."""
    configuration = Configuration()
    try:
        _require_files(files)
        config.load_kube_config(config_file=files, client_configuration=configuration)
        return _cluster(configuration, files)
    except _UNUSABLE as error:
        raise _unusable(files, error) from error


def _cluster(configuration: Configuration, files: str) -> Cluster:
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
    )


def _authorization(configuration: Configuration, files: str) -> str | None:
    """Returns the Authorization header for a token or a password. The package renews an expired token."""
    try:
        header = configuration.get_api_key_with_prefix("BearerToken")
    except _UNUSABLE as error:
        raise _unusable(files, error) from error
    return None if header is None else str(header)


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

"""A connection to the cluster, from a kubeconfig file or a pod's service account. Whatever is wrong with either is one KubeError."""

from pathlib import Path

import structlog
import urllib3
import urllib3.exceptions
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from node_core.errors import KubeError

log = structlog.get_logger(__name__)

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
"""What the client raises for one configuration or another that it cannot use."""


def connect(kubeconfig: str | None, *, user_agent: str) -> ApiClient:
    """A client from a kubeconfig file, or from the pod's service account when none is named. Raises KubeError."""
    configuration = Configuration()
    configuration.keep_alive = True  # a watch is silent for minutes; the kernel finds out when nobody is there any more
    try:
        if kubeconfig:
            _require_file(kubeconfig)
            config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
        api = ApiClient(configuration)
    except _UNUSABLE as error:
        hint = None if kubeconfig else "outside a pod, name a cluster with --kubeconfig or KUBECONFIG"
        raise KubeError(f"no usable cluster configuration: {kubeconfig or 'in-cluster'}: {error}", hint=hint) from error
    if not configuration.verify_ssl:
        log.warning("tls_not_verified", server=configuration.host, effect="whoever is on the way may be the API server")
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    api.user_agent = user_agent
    return api


def _require_file(kubeconfig: str) -> None:
    """The client says of any file that it cannot read that it is invalid, and waits for ever for a pipe."""
    for path in map(Path, filter(None, kubeconfig.split(":"))):
        if path.exists() and not path.is_file():
            raise OSError(f"{path} is not a regular file")
        path.open().close()

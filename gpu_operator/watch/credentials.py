"""The credentials of kopf, from the same kubeconfig files or service account as those of the other requests."""

from datetime import UTC, datetime, timedelta

import kopf

from node_core.errors import KubeError
from node_core.kube.cluster import Cluster

LIFETIME = timedelta(minutes=10)
"""kopf reads the credentials again after this time: the kubelet replaces the token of a pod."""


def connection_info(cluster: Cluster) -> kopf.ConnectionInfo:
    """Raises KubeError if the credentials cannot be read, or need what kopf does not have."""
    if cluster.server_name is not None:
        raise KubeError(
            "no usable cluster configuration: tls-server-name is not supported by gpu-operator",
            hint="use an address that the certificate of the API server contains",
        )
    try:
        scheme, _, token = (cluster.authorization() or "").partition(" ")
    except OSError as error:
        raise KubeError(f"no usable cluster configuration: {error}") from error
    return kopf.ConnectionInfo(
        server=cluster.server,
        ca_path=cluster.ca_file,
        ca_data=cluster.ca_data,
        insecure=not cluster.is_verified,
        scheme=scheme or None,
        token=token or None,
        certificate_path=cluster.certificate_file,
        private_key_path=cluster.key_file,
        proxy_url=cluster.proxy,
        expiration=datetime.now(UTC) + LIFETIME,
    )

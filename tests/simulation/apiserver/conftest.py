"""A new server for each test, and a client that closes its sockets."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config

from simulation.apiserver import ApiServer


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(bookmark_seconds=0.2) as running:
        running.add_node("n1", labels={"gpu": "yes"})
        running.forget_requests()
        yield running


@pytest.fixture
def api(server: ApiServer) -> Iterator[Any]:
    """The official client's CoreV1Api."""
    connection = config.new_client_from_config_dict(server.kubeconfig())
    yield client.CoreV1Api(connection)
    connection.rest_client.pool_manager.clear()
    connection.close()

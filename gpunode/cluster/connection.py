"""Connects with the person's kubeconfig, as kubectl does: --kubeconfig, KUBECONFIG, ~/.kube/config, or the service account of a pod."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from node_core.errors import KubeError
from node_core.kube.cluster import SERVICE_ACCOUNT
from node_core.kube.http import ApiClient
from node_core.version import VERSION

Function = TypeVar("Function", bound=Callable[..., Any])

USER_AGENT = f"gpunode/{VERSION}"
DEFAULT_FILE = Path(".kube/config")
"""Relative to the home directory."""
TIMEOUT = (5.0, 60.0)
"""Seconds to connect, and to wait for a response. A list of thousands of objects takes longer than an agent's requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """api: connects at the first request. namespace: of --namespace, of the kubeconfig context, or `default`."""

    api: ApiClient
    namespace: str


def connection_options(command: Function) -> Function:
    """Adds --kubeconfig and --context to a verb. The verb passes their values to `connect`."""
    command = click.option("--context", metavar="NAME", help="The context of the kubeconfig file.")(command)
    return click.option(
        "--kubeconfig", metavar="FILE", help="The kubeconfig file. Default: KUBECONFIG, or ~/.kube/config."
    )(command)


def namespace_option(command: Function) -> Function:
    """Adds -n/--namespace to a verb."""
    return click.option(
        "-n", "--namespace", metavar="NAME", help="The namespace of the pod. Default: the namespace of the context."
    )(command)


def connect(
    kubeconfig: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Connection:
    """Returns the connection. The files are read, and no request is sent. Raises KubeError."""
    files = find_kubeconfig(kubeconfig, environment)
    api = ApiClient(kubeconfig=files, context=context, user_agent=USER_AGENT, timeout=TIMEOUT)
    return Connection(api=api, namespace=namespace or api.namespace or "default")


def find_kubeconfig(flag: str | None, environment: Mapping[str, str]) -> str | None:
    """Returns the kubeconfig files, separated by colons; None in a pod without any. Missing files of KUBECONFIG are ignored, as in kubectl.

    Raises KubeError if there is neither a file nor a service account.
    """
    if flag:
        return flag
    home = environment.get("HOME")
    named = environment.get("KUBECONFIG", "").split(":")
    paths = [each for each in named if each] or ([str(Path(home) / DEFAULT_FILE)] if home else [])
    if found := [each for each in paths if Path(each).exists()]:
        return ":".join(found)
    if (SERVICE_ACCOUNT / "token").exists():
        return None
    searched = ", ".join(paths) or "HOME and KUBECONFIG are not set"
    raise KubeError(f"there is no kubeconfig file: {searched}", hint="set --kubeconfig FILE or KUBECONFIG")

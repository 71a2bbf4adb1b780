"""The command line of `gpunode ui`."""

import contextlib
import os
import sys
import webbrowser
from collections.abc import Mapping

import click

from gpunode.cluster.connection import connect, connection_options
from gpunode.output.verb import Verb
from node_core.errors import NodeError

EXAMPLES = (
    ("", "open the page in the browser"),
    ("--no-browser --port 8700", "print the link only, for example to forward the port over SSH"),
    ("--context prod", "show another cluster"),
)


@click.command(
    "ui",
    cls=Verb,
    examples=EXAMPLES,
    help="Open a page that shows the GPUs of the cluster: all nodes, one node in full, and why pods are pending. The page follows changes."
    " The server listens only on 127.0.0.1, uses your kubeconfig, and sends only read requests. Ctrl-C ends it.",
)
@connection_options
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port. Default: an unused port.")
@click.option("--browser/--no-browser", default=None, help="Open the browser. Default: in a terminal of a desktop.")
def command(kubeconfig: str | None, context: str | None, port: int, browser: bool | None) -> None:
    connection = connect(kubeconfig, context)
    try:
        from gpunode.ui.app import ChangeSignal, build_app, new_secret  # noqa: PLC0415 - an extra
        from gpunode.ui.serve import Server, listen  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise NodeError(
            f"the package {error.name} is not installed", hint="run: pip install starlette uvicorn"
        ) from error
    from gpunode.cluster.feed import ClusterFeed  # noqa: PLC0415
    from gpunode.ui.documents import Documents  # noqa: PLC0415
    from gpunode.ui.health import HealthHistory  # noqa: PLC0415

    listener = listen(port)
    signal, history, secret = ChangeSignal(), HealthHistory(), new_secret()
    feed = ClusterFeed(connection.api, listeners=(history.update, lambda _: signal.notify()))
    server = Server(build_app(Documents(connection, feed, history), feed, signal, secret), signal)
    address, used_port = listener.getsockname()
    link = f"http://{address}:{used_port}/?token={secret}"
    click.echo(f"{link}\nThe link is for you alone. Ctrl-C ends the server.")
    if (sys.stdout.isatty() and has_display(os.environ)) if browser is None else browser:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(link)
    server.run(sockets=[listener])


def has_display(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser can open a window. Without a window, Python starts a text browser, which would take the terminal."""
    return platform != "linux" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))

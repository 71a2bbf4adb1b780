"""The HTTP interface of the page: static files, JSON documents, and a stream of changes. Read-only.

Only the person who started the program may read the cluster through it: each request needs the cookie that the secret link sets, and the
Host header of this machine, so that neither other users of the machine nor pages of other sites can read anything.
"""

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gpunode.cluster.feed import ClusterFeed
from gpunode.ui.documents import Documents
from node_core.errors import KubeError, NodeError

HOSTS = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "gpunode"
STATIC = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CHANGES_SECONDS = 0.5
"""The minimum time between two messages about changes."""
HEARTBEAT_SECONDS = 15.0

Handler = Callable[[Request], Awaitable[Response]]


class ChangeSignal:
    """Wakes the streams of all browsers. `notify` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self.is_stopping = False

    def attach(self) -> None:
        """Called in the event loop of the server."""
        self._loop = asyncio.get_running_loop()

    def notify(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._wake)

    async def wait(self) -> None:
        """Returns after the next change, or after HEARTBEAT_SECONDS."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), HEARTBEAT_SECONDS)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def build_app(documents: Documents, feed: ClusterFeed, signal: ChangeSignal, secret: str) -> Starlette:
    """Returns the application. secret: the value of the cookie, and of `token` in the first link."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        signal.attach()
        feed.start()
        yield
        await run_in_threadpool(feed.stop)

    async def changes(_: Request) -> Response:
        return StreamingResponse(_stream(feed, signal), media_type="text/event-stream")

    return Starlette(
        lifespan=lifespan,
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False),
            Middleware(BaseHTTPMiddleware, dispatch=_authorize(secret)),
            Middleware(GZipMiddleware, minimum_size=1000),
        ],
        routes=[
            *(Route(path, _static(name, media_type)) for path, (name, media_type) in STATIC.items()),
            Route("/api/fleet", _document(lambda _: documents.fleet())),
            Route("/api/nodes/{name}", _document(lambda request: documents.node(request.path_params["name"]))),
            Route(
                "/api/pods/{namespace}/{name}",
                _document(lambda request: documents.pod(request.path_params["namespace"], request.path_params["name"])),
            ),
            Route("/api/changes", changes),
        ],
        exception_handlers={HTTPException: _report, NodeError: _report},
    )


def new_secret() -> str:
    return secrets.token_urlsafe(24)


def _authorize(secret: str) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    async def dispatch(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if _equals(request.query_params.get("token", ""), secret) and request.url.path == "/":
            response: Response = RedirectResponse("/", status_code=303)
            response.set_cookie(COOKIE, secret, httponly=True, samesite="strict")
        elif _equals(request.cookies.get(COOKIE, ""), secret):
            response = await call_next(request)
        else:
            response = PlainTextResponse(
                "This link is not valid. Open the link that `gpunode ui` printed.\n", status_code=403
            )
        response.headers.update(HEADERS)
        return response

    return dispatch


def _equals(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def _static(name: str, media_type: str) -> Handler:
    content = (files("gpunode.ui") / "page" / name).read_bytes()

    async def handle(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return handle


def _document(read: Callable[[Request], object]) -> Handler:
    """The documents are built in another thread, because they may send requests to the API server."""

    async def handle(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(read, request))

    return handle


async def _report(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, status_code=error.status_code)
    is_missing = isinstance(error, KubeError) and error.status == 404
    return JSONResponse({"error": str(error)}, status_code=404 if is_missing else 502)


async def _stream(feed: ClusterFeed, signal: ChangeSignal) -> AsyncIterator[str]:
    """Yields server-sent events with the version of the cluster. Source: HTML standard, server-sent events."""
    sent = -1
    while not signal.is_stopping:
        version = feed.version
        yield f"data: {version}\n\n" if version != sent else ": heartbeat\n\n"
        sent = version
        await asyncio.sleep(CHANGES_SECONDS)
        if feed.version == sent:
            await signal.wait()

"""The TLS certificate of the health server. The files are loaded again after a rotation by cert-manager or the kubelet."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from node_core.decode import describe_os_error
from node_core.runtime.certificate_expiry import parse_expiry

log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int, int] | None, ...]


class CertificateFiles:
    """The PEM files of a certificate chain and of the private key. The key has no passphrase.

    If a changed pair cannot be used, an error is logged once and the previous pair remains in use, if there is a previous pair. An expired
    certificate remains in use with a warning. report: accepts the problem of the current files, or None. wall: Unix seconds.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        report: Callable[[str | None], None] = lambda _: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._report = report
        self._wall = wall
        self._lock = threading.Lock()
        self._seen: Stamp | None = None
        self._context: ssl.SSLContext | None = None
        self._expires_at = float("inf")

    def context(self) -> ssl.SSLContext | None:
        """Returns the TLS context for the next connection. Open connections retain their context."""
        with self._lock:
            stamp = _stamp(self._certificate, self._key)
            if stamp != self._seen:
                self._seen = stamp
                self._load()
            if self._wall() > self._expires_at:
                self._expires_at = float("inf")
                log.warning("tls_certificate_expired", certificate=str(self._certificate), effect="clients refuse it")
            return self._context

    def _load(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if (why := self._load_into(context)) is not None:
            effect = "no connection is served" if self._context is None else "the previous certificate remains in use"
            log.error("tls_certificate_unusable", certificate=str(self._certificate), why=why, effect=effect)
            self._report(f"{why}; {effect}")
            return
        self._context = context
        self._expires_at = float("inf")
        with contextlib.suppress(OSError, ValueError):  # OpenSSL accepts the certificate, so only the warning is lost
            self._expires_at = parse_expiry(self._certificate.read_bytes())
        log.info("tls_certificate_loaded", certificate=str(self._certificate))
        self._report(None)

    def _load_into(self, context: ssl.SSLContext) -> str | None:
        """Loads the pair. Returns the problem, or None."""
        for path in (self._certificate, self._key):
            try:
                if path.exists() and not path.is_file():  # opening a FIFO would block
                    return f"{path} is not a regular file"
                path.open("rb").close()
            except OSError as error:
                return f"{path} {describe_os_error(error)}"
        try:
            # without `password`, OpenSSL prompts for a passphrase
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except (OSError, ValueError) as error:
            return self._describe(error)
        return None

    def _describe(self, error: OSError | ValueError) -> str:
        if "KEY_VALUES_MISMATCH" in str(error):
            return f"the key {self._key} does not belong to the certificate {self._certificate}"
        return (
            f"{self._certificate} and {self._key} are not a certificate and its key in PEM format, without a passphrase"
        )


def _stamp(*paths: Path) -> Stamp:
    """Returns the inode, modification time and size of each file; None for a missing file. A changed file has a different stamp."""
    stamps: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            status = path.stat()
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append(None)
    return tuple(stamps)

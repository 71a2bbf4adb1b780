"""The certificate of the health server, taken up anew when it is rotated: cert-manager and kubelets replace the files in place."""

import ssl
import threading
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class CertificateFiles:
    """PEM files: a certificate, with what it is signed by, and its key without a passphrase.

    A pair that cannot be used is said once and leaves the one before in use; without one before there is none.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._lock = threading.Lock()
        self._seen: Stamp | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """For the next connection; what is open goes on as it is."""
        with self._lock:
            stamp = _stamp(self._certificate, self._key)
            if stamp != self._seen:
                self._seen = stamp
                self._take_up()
            return self._context

    def _take_up(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # OpenSSL would ask a terminal for a passphrase
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except (OSError, ValueError) as error:
            effect = "no connection is served" if self._context is None else "the certificate before stays in use"
            why = getattr(error, "strerror", None) or str(error)
            log.error("tls_certificate_unusable", certificate=str(self._certificate), why=why, effect=effect)
        else:
            self._context = context
            log.info("tls_certificate_taken_up", certificate=str(self._certificate))


def _stamp(*paths: Path) -> Stamp:
    """Differs when a file is another or has changed; of no file it is zero."""
    stamps = []
    for path in paths:
        try:
            status = path.stat()
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append((0, 0, 0))
    return tuple(stamps)

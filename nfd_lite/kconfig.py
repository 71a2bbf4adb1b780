"""Reads the build options of the running kernel. Sources: kernel Documentation/kbuild/kconfig.rst (.config), proc(5) (config.gz)."""

import zlib
from collections.abc import Iterator, Mapping

import msgspec

from node_core.errors import HostReadError
from node_core.host.root import HostRoot

_LIMIT = 16 << 20


class Kconfig(msgspec.Struct, frozen=True, kw_only=True):
    """The build options of a kernel: option without CONFIG_ -> value. path: the file with the options."""

    path: str
    options: Mapping[str, str]


def kconfig_paths(release: str, configured: str = "") -> tuple[str, ...]:
    """Returns the possible paths of the options, in order of preference. release: as `uname -r` prints it."""
    return (
        *([configured] if configured else []),
        "/proc/config.gz",
        f"/usr/src/linux-{release}/.config",
        f"/usr/src/linux-rt-{release}/.config",
        "/usr/src/linux/.config",
        f"/usr/lib/modules/{release}/config",
        f"/usr/lib/ostree-boot/config-{release}",
        f"/usr/lib/kernel/config-{release}",
        f"/usr/src/linux-headers-{release}/.config",
        f"/lib/modules/{release}/build/.config",
        f"/usr/src/linux-rt-headers-{release}/.config",
        f"/boot/config-{release}",
    )


def read_kconfig(root: HostRoot, release: str, configured: str = "") -> Kconfig | None:
    """Reads the first file that can be read. Returns None if no file exists.

    Raises HostReadError if files exist and none of them can be read.
    """
    failures: list[str] = []
    for path in kconfig_paths(release, configured):
        try:
            content = root.read(path, limit=_LIMIT)
            if content is not None:
                options = parse_kconfig(_unpack(content) if path.endswith(".gz") else content)
                return Kconfig(path=path, options=options)
        except HostReadError as error:
            failures.append(str(error))
        except zlib.error as error:
            failures.append(f"{path} is not a gzip file: {error}")
    if failures:
        raise HostReadError("; ".join(failures))
    return None


def parse_kconfig(content: bytes) -> dict[str, str]:
    """Parses `CONFIG_NO_HZ=y` lines, and removes quotes around values. Comments, such as `is not set`, are ignored."""
    return dict(_options(content.decode(errors="replace")))


def _options(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        option, equals, value = line.strip().partition("=")
        if equals and option.startswith("CONFIG_"):
            yield option.removeprefix("CONFIG_"), value.strip().strip('"')


def _unpack(content: bytes) -> bytes:
    """Unpacks at most _LIMIT bytes, to limit the memory for a hostile file."""
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(content, _LIMIT)

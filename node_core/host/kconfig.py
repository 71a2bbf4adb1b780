"""The running kernel's build options. Source: kernel Documentation/kbuild/kconfig.rst (.config), proc(5) (config.gz)."""

import zlib
from collections.abc import Iterator

from node_core.errors import HostReadError
from node_core.host.root import HostRoot

_LIMIT = 16 << 20


def kconfig_paths(release: str, configured: str = "") -> tuple[str, ...]:
    """Where the options of this kernel may lie, best first. release: as `uname -r` gives it."""
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


def read_kconfig(root: HostRoot, release: str, configured: str = "") -> dict[str, str] | None:
    """Option without CONFIG_ -> value, of the first file that can be read; None where there is none.

    Raises HostReadError when files are there and none of them can be read.
    """
    failures: list[str] = []
    for path in kconfig_paths(release, configured):
        try:
            content = root.read(path, limit=_LIMIT)
            if content is not None:
                return parse_kconfig(_unpack(content) if path.endswith(".gz") else content)
        except HostReadError as error:
            failures.append(str(error))
        except zlib.error as error:
            failures.append(f"{path} is not a gzip file: {error}")
    if failures:
        raise HostReadError("; ".join(failures))
    return None


def parse_kconfig(content: bytes) -> dict[str, str]:
    """`CONFIG_NO_HZ=y` lines; quotes around a value are dropped. Comments, `is not set` among them, bring nothing."""
    return dict(_options(content.decode(errors="replace")))


def _options(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        option, equals, value = line.strip().partition("=")
        if equals and option.startswith("CONFIG_"):
            yield option.removeprefix("CONFIG_"), value.strip().strip('"')


def _unpack(content: bytes) -> bytes:
    """At most _LIMIT bytes, whatever the file claims."""
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(content, _LIMIT)

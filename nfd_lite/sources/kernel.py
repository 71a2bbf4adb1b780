"""Kernel version, build options, modules, SELinux and KVM.

Sources: proc(5), kernel Documentation/kbuild/kbuild.rst (modules.builtin), Documentation/admin-guide/LSM/SELinux.rst.
"""

import re

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Look,
    Part,
    Source,
    SourceSettings,
    attributes,
    flags,
    no_labels,
    spell,
    true_labels,
)
from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.cpuid_decode import clean_name
from node_core.host.kconfig import kconfig_paths, read_kconfig

VERSION = "kernel.version"
CONFIG = "kernel.config"
LOADED = "kernel.loadedmodule"
ENABLED = "kernel.enabledmodule"
SELINUX = "kernel.selinux"
KVM = "kernel.kvm"
_MODULES_LIMIT = 4 << 20


def read_release(look: Look) -> str | None:
    """What `uname -r` says."""
    return look.root.text("/proc/sys/kernel/osrelease") or None


def read_version(look: Look) -> Found:
    release = look.once(read_release)
    return attributes(VERSION, parse_version(release)) if release else Features()


def parse_version(release: str) -> dict[str, str]:
    """full, made fit for a label; major, minor and revision where it looks like a version, the last two maybe empty."""
    full = clean_name(release)
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-.*)?", full)
    numbers = dict(zip(("major", "minor", "revision"), match.groups(default=""), strict=True)) if match else {}
    return {"full": full, **numbers}


def label_version(features: Features, _settings: SourceSettings) -> Labels:
    return {f"{PREFIX}kernel-version.{key}": value for key, value in features.attributes.get(VERSION, {}).items()}


def read_config(look: Look) -> Found:
    release, configured = look.once(read_release) or "", look.settings.kernel_kconfig_file
    marks = tuple(map(look.root.mark, kconfig_paths(release, configured)))
    options = look.host.memory.keep(
        CONFIG, (release, configured, marks), lambda: read_kconfig(look.root, release, configured)
    )
    return Features() if options is None else attributes(CONFIG, options)


def label_config(features: Features, settings: SourceSettings) -> Labels:
    options = features.attributes.get(CONFIG, {})
    wanted = {option: options[option] for option in settings.kernel_config_opts if option in options}
    return {
        f"{PREFIX}kernel-config.{option}": "true" if value in {"y", "m"} else value for option, value in wanted.items()
    }


def read_modules(look: Look) -> frozenset[str] | None:
    """Names in /proc/modules; None for a kernel without loadable modules."""
    content = look.root.read("/proc/modules", limit=_MODULES_LIMIT)
    return None if content is None else parse_modules(content.decode(errors="replace"))


def parse_modules(text: str) -> frozenset[str]:
    return frozenset(line.split()[0] for line in text.splitlines() if line.strip())


def read_loaded(look: Look) -> Found:
    loaded = look.once(read_modules)
    return Features() if loaded is None else flags(LOADED, loaded)


def read_enabled(look: Look) -> Found:
    """Loaded modules and those built into the kernel; absent where nobody lists the latter."""
    paths = _builtin_paths(look.once(read_release))
    marks = tuple(map(look.root.mark, paths))
    builtin = look.host.memory.keep(ENABLED, (paths, marks), lambda: _read_builtin(look, paths))
    return Features() if builtin is None else flags(ENABLED, (look.once(read_modules) or frozenset()) | builtin)


def _read_builtin(look: Look, paths: tuple[str, ...]) -> frozenset[str] | None:
    content = next(filter(None, map(look.root.read, paths)), None)
    return None if content is None else parse_builtin(content.decode(errors="replace"))


def _builtin_paths(release: str | None) -> tuple[str, ...]:
    return tuple(f"{lib}/modules/{release}/modules.builtin" for lib in ("/lib", "/usr/lib")) if release else ()


def parse_builtin(text: str) -> frozenset[str]:
    """`kernel/fs/ext4/ext4.ko` lines -> `ext4`."""
    return frozenset(line.strip().rpartition("/")[2].removesuffix(".ko") for line in text.splitlines() if line.strip())


def read_selinux(look: Look) -> Found:
    """enabled: enforcing. Permissive mode and no SELinux at all are both false."""
    mode = look.root.text("/sys/fs/selinux/enforce")
    if mode == "":
        raise HostReadError("/sys/fs/selinux/enforce is empty")
    return attributes(SELINUX, {"enabled": spell(mode is not None and mode.startswith("1"))})


def label_selinux(features: Features, _settings: SourceSettings) -> Labels:
    return true_labels({"kernel-selinux.enabled": features.attributes.get(SELINUX, {}).get("enabled") == "true"})


def read_kvm(look: Look) -> Found:
    return attributes(KVM, {"enabled": spell(look.root.shows("/sys/devices/virtual/misc/kvm"))})


KERNEL = Source(
    name="kernel",
    parts=(
        Part(name=VERSION, read=read_version, labels=label_version, owns=(f"{PREFIX}kernel-version.",)),
        Part(name=CONFIG, read=read_config, labels=label_config, owns=(f"{PREFIX}kernel-config.",)),
        Part(name=LOADED, read=read_loaded, labels=no_labels),
        Part(name=ENABLED, read=read_enabled, labels=no_labels),
        Part(name=SELINUX, read=read_selinux, labels=label_selinux, owns=(f"{PREFIX}kernel-selinux.",)),
        Part(name=KVM, read=read_kvm, labels=no_labels),
    ),
)

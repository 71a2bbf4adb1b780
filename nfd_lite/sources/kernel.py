"""Kernel version, build options, modules, SELinux and KVM.

Sources: proc(5), kernel Documentation/kbuild/kbuild.rst (modules.builtin), Documentation/admin-guide/LSM/SELinux.rst.
"""

from nfd_lite.cpu.cpuid_decode import clean_name
from nfd_lite.kconfig import Kconfig, kconfig_paths, read_kconfig
from nfd_lite.sources.api import (
    FeatureCollector,
    PartialFeatures,
    ReadResult,
    ScanContext,
    SourceSettings,
    attribute_collector,
    attributes,
    bool_text,
    flags,
    true_attribute_collector,
)
from node_core.domain.dotted_version import leading_numbers
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.errors import HostReadError

VERSION = "kernel.version"
CONFIG = "kernel.config"
LOADED = "kernel.loadedmodule"
ENABLED = "kernel.enabledmodule"
SELINUX = "kernel.selinux"
KVM = "kernel.kvm"
_MODULES_LIMIT = 4 << 20
_OSRELEASE = "/proc/sys/kernel/osrelease"
_ENFORCE = "/sys/fs/selinux/enforce"
_RELEASE = {"source": _OSRELEASE, "presence": "if the release is known"}


def read_release(scan: ScanContext) -> str | None:
    """Reads the kernel release, as `uname -r` prints it."""
    return scan.root.text(_OSRELEASE) or None


def read_version(scan: ScanContext) -> ReadResult:
    release = scan.once(read_release)
    return attributes(VERSION, parse_version(release)) if release else Features()


def parse_version(release: str) -> dict[str, str]:
    """Returns `full` as a valid label value, and `major`, `minor` and `revision` if the release begins with a version.

    `minor` and `revision` are empty if the version has fewer numbers. Any text may follow the numbers.
    """
    numbers = leading_numbers(release)
    parts = zip(("major", "minor", "revision"), (*numbers, "", ""), strict=False) if numbers else ()
    return {"full": clean_name(release), **dict(parts)}


def read_config(scan: ScanContext) -> ReadResult:
    release, configured = scan.once(read_release) or "", scan.settings.kernel_kconfig_file
    marks = tuple(map(scan.root.stamp, kconfig_paths(release, configured)))
    found = scan.host.cache.get_or_read(
        CONFIG, (release, configured, marks), lambda: read_kconfig(scan.root, release, configured)
    )
    features = Features() if found is None else attributes(CONFIG, found.options)
    problem = kconfig_file_problem(configured, found)
    return PartialFeatures(features=features, problems=(problem,)) if problem else features


def kconfig_file_problem(configured: str, found: Kconfig | None) -> str | None:
    """Returns a sentence if the file that the config names is not the file with the options."""
    if not configured or (found is not None and found.path == configured):
        return None
    source = f"the build options come from {found.path}" if found else "the build options are unknown"
    return (
        f"sources.kernel.kconfigFile: {configured} does not exist on the host or is not readable, so {source}. "
        "Correct the path, or remove the key."
    )


def label_config(features: Features, settings: SourceSettings) -> Labels:
    options = features.attributes.get(CONFIG, {})
    values = {option: options[option] for option in settings.kernel_config_opts if option in options}
    return {f"kernel-config.{option}": "true" if value in {"y", "m"} else value for option, value in values.items()}


def read_modules(scan: ScanContext) -> frozenset[str] | None:
    """Reads the module names in /proc/modules. Returns None for a kernel without loadable modules."""
    content = scan.root.read("/proc/modules", limit=_MODULES_LIMIT)
    return None if content is None else parse_modules(content.decode(errors="replace"))


def parse_modules(text: str) -> frozenset[str]:
    return frozenset(line.split()[0] for line in text.splitlines() if line.strip())


def read_loaded(scan: ScanContext) -> ReadResult:
    loaded = scan.once(read_modules)
    return Features() if loaded is None else flags(LOADED, loaded)


def read_enabled(scan: ScanContext) -> ReadResult:
    """Reads the loaded and the built-in modules. The feature is absent if the host has no list of built-in modules."""
    paths = _builtin_paths(scan.once(read_release))
    marks = tuple(map(scan.root.stamp, paths))
    builtin = scan.host.cache.get_or_read(ENABLED, (paths, marks), lambda: _read_builtin(scan, paths))
    return Features() if builtin is None else flags(ENABLED, (scan.once(read_modules) or frozenset()) | builtin)


def _read_builtin(scan: ScanContext, paths: tuple[str, ...]) -> frozenset[str] | None:
    content = next(filter(None, map(scan.root.read, paths)), None)
    return None if content is None else parse_builtin(content.decode(errors="replace"))


def _builtin_paths(release: str | None) -> tuple[str, ...]:
    return tuple(f"{lib}/modules/{release}/modules.builtin" for lib in ("/lib", "/usr/lib")) if release else ()


def parse_builtin(text: str) -> frozenset[str]:
    """Parses `kernel/fs/ext4/ext4.ko` lines: `ext4`."""
    return frozenset(line.strip().rpartition("/")[2].removesuffix(".ko") for line in text.splitlines() if line.strip())


def read_selinux(scan: ScanContext) -> ReadResult:
    """Reads whether SELinux enforces. `enabled` is false in permissive mode and without SELinux."""
    mode = scan.root.text(_ENFORCE)
    if mode == "":
        raise HostReadError(f"{_ENFORCE} is empty")
    return attributes(SELINUX, {"enabled": bool_text(mode is not None and mode.startswith("1"))})


def read_kvm(scan: ScanContext) -> ReadResult:
    return attributes(KVM, {"enabled": bool_text(scan.root.check_exists("/sys/devices/virtual/misc/kvm"))})


KERNEL = (
    attribute_collector(
        VERSION,
        read_version,
        "kernel-version.",
        LabelDeclaration(key="kernel-version.full", value="the release, as `uname -r` prints it", **_RELEASE),
        LabelDeclaration(key="kernel-version.major", value="the first number", **_RELEASE),
        LabelDeclaration(key="kernel-version.minor", value="the second number, or empty", **_RELEASE),
        LabelDeclaration(key="kernel-version.revision", value="the third number, or empty", **_RELEASE),
    ),
    FeatureCollector(
        name=CONFIG,
        read=read_config,
        labels=label_config,
        owns=("kernel-config.",),
        declared=(
            LabelDeclaration(
                key="kernel-config.<option>",
                value="`true` for `y` and `m`, else the value of the option",
                source="the build options: /proc/config.gz, /boot/config-*, or the file in `sources.kernel.kconfigFile`",
                presence="for each option in `sources.kernel.configOpts` that is set",
            ),
        ),
    ),
    FeatureCollector(name=LOADED, read=read_loaded),
    FeatureCollector(name=ENABLED, read=read_enabled),
    true_attribute_collector(
        SELINUX,
        read_selinux,
        {"kernel-selinux.enabled": "enabled"},
        LabelDeclaration(key="kernel-selinux.enabled", value="`true`", source=_ENFORCE, presence="if SELinux enforces"),
    ),
    FeatureCollector(name=KVM, read=read_kvm),
)

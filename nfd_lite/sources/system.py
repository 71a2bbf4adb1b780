"""Operating system release, DMI identity and node name. Sources: os-release(5), kernel Documentation/ABI/testing/sysfs-class-dmi."""

import re

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    Source,
    SourceSettings,
    attributes,
    no_labels,
    read_present,
)
from node_core.domain.features import Features
from node_core.domain.labels import Labels

OSRELEASE = "system.osrelease"
DMIID = "system.dmiid"
NAME = "system.name"
_LABELLED = ("ID", "VERSION_ID", "VERSION_ID.major", "VERSION_ID.minor")
# Serial numbers and UUIDs are left out on purpose: they identify a machine and are readable by root only.
_DMI = (
    *("bios_date", "bios_vendor", "bios_version"),
    *("board_asset_tag", "board_name", "board_vendor", "board_version"),
    *("chassis_asset_tag", "chassis_type", "chassis_vendor", "chassis_version"),
    *("product_family", "product_name", "product_sku", "product_version", "sys_vendor"),
)


def read_osrelease(look: Look) -> Found:
    """/etc/os-release, else /usr/lib/os-release, as the manual page says."""
    text = look.root.text("/etc/os-release") or look.root.text("/usr/lib/os-release")
    return Features() if text is None else attributes(OSRELEASE, parse_osrelease(text))


def parse_osrelease(text: str) -> dict[str, str]:
    """KEY -> value without quotes, and VERSION_ID.major and .minor where VERSION_ID is a number with dots."""
    pairs = re.findall(r"^\s*(\w+)=(.*)$", text, re.MULTILINE)
    release = {key: value.strip().strip("\"'") for key, value in pairs}
    version = re.fullmatch(r"(\d+)(?:\.(\d+))?(?:\..*)?", release.get("VERSION_ID", ""))
    parts = zip(("VERSION_ID.major", "VERSION_ID.minor"), version.groups() if version else (), strict=False)
    return release | {key: value for key, value in parts if value}


def label_osrelease(features: Features, _settings: SourceSettings) -> Labels:
    release = features.attributes.get(OSRELEASE, {})
    return {f"{PREFIX}system-os_release.{key}": release[key] for key in _LABELLED if release.get(key)}


def read_dmiid(look: Look) -> Found:
    gathering = Gathering()
    found = read_present(gathering, look.root, "/sys/devices/virtual/dmi/id", {name: name for name in _DMI})
    return gathering.found(attributes(DMIID, found) if found else Features())


def read_name(look: Look) -> Found:
    name = look.host.node_name
    return attributes(NAME, {"nodename": name} if name else {})


SYSTEM = Source(
    name="system",
    parts=(
        Part(name=OSRELEASE, read=read_osrelease, labels=label_osrelease, owns=(f"{PREFIX}system-os_release.",)),
        Part(name=DMIID, read=read_dmiid, labels=no_labels),
        Part(name=NAME, read=read_name, labels=no_labels),
    ),
)

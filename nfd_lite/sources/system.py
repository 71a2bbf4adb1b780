"""Operating system release, DMI identity and node name. Sources: os-release(5), kernel Documentation/ABI/testing/sysfs-class-dmi."""

import re

from nfd_lite.sources.api import (
    FeatureCollector,
    PartialReader,
    ReadResult,
    ScanContext,
    SourceSettings,
    attributes,
    read_attribute_files,
)
from node_core.domain.dotted_version import leading_numbers
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

OSRELEASE = "system.osrelease"
DMIID = "system.dmiid"
NAME = "system.name"
_ETC, _USR = "/etc/os-release", "/usr/lib/os-release"
_LABELLED = (
    *("ID", "VERSION_ID", "VERSION_ID.major", "VERSION_ID.minor"),
    *("OSTREE_VERSION", "OPENSHIFT_VERSION", "RHEL_VERSION"),
)
"""NFD's labels, and those that OpenShift's NFD adds on Red Hat CoreOS."""
# Serial numbers and UUIDs are excluded: they identify a machine, and only root can read them.
_DMI = (
    *("bios_date", "bios_vendor", "bios_version"),
    *("board_asset_tag", "board_name", "board_vendor", "board_version"),
    *("chassis_asset_tag", "chassis_type", "chassis_vendor", "chassis_version"),
    *("product_family", "product_name", "product_sku", "product_version", "sys_vendor"),
)


def read_osrelease(scan: ScanContext) -> ReadResult:
    """Reads /etc/os-release, or /usr/lib/os-release if the first is missing or empty. Source: os-release(5)."""
    text = scan.root.text(_ETC) or scan.root.text(_USR)
    return Features() if text is None else attributes(OSRELEASE, parse_osrelease(text))


def parse_osrelease(text: str) -> dict[str, str]:
    """Returns key -> value without quotes, and VERSION_ID.major and VERSION_ID.minor if VERSION_ID begins with such numbers."""
    pairs = re.findall(r"^\s*(\w+)=(.*)$", text, re.MULTILINE)
    release = {key: value.strip().strip("\"'") for key, value in pairs}
    parts = zip(("VERSION_ID.major", "VERSION_ID.minor"), leading_numbers(release.get("VERSION_ID", "")), strict=False)
    return release | dict(parts)


def label_osrelease(features: Features, _settings: SourceSettings) -> Labels:
    release = features.attributes.get(OSRELEASE, {})
    return {f"system-os_release.{key}": release[key] for key in _LABELLED if release.get(key)}


def read_dmiid(scan: ScanContext) -> ReadResult:
    reader = PartialReader()
    values = read_attribute_files(reader, scan.root, "/sys/devices/virtual/dmi/id", {name: name for name in _DMI})
    return reader.result(attributes(DMIID, values) if values else Features())


def read_name(scan: ScanContext) -> ReadResult:
    name = scan.host.node_name
    return attributes(NAME, {"nodename": name} if name else {})


SYSTEM = (
    FeatureCollector(
        name=OSRELEASE,
        read=read_osrelease,
        labels=label_osrelease,
        owns=("system-os_release.",),
        declared=tuple(
            LabelDeclaration(
                key=f"system-os_release.{key}",
                value=f"`{key}` of the operating system" if "." not in key else "part of `VERSION_ID`",
                source=f"{_ETC} or {_USR}",
                presence="if the file contains the value",
            )
            for key in _LABELLED
        ),
    ),
    FeatureCollector(name=DMIID, read=read_dmiid),
    FeatureCollector(name=NAME, read=read_name),
)

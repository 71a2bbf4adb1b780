"""The system source."""

import pytest

from nfd_lite.sources.system import parse_osrelease
from tests.nfd_lite.sources.scans import LayOut, scan


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        ("24.04", ("24", "04")),
        ("12", ("12", None)),
        ("7.9.2009", ("7", "9")),
        ("2023.6.20250303", ("2023", "6")),
        ("24.11.20250101.abc (Vicuna)", ("24", "11")),
        ("3.21.0_alpha20240807", ("3", "21")),
        ("v1.6.6", ("1", "6")),
        ("9.6.20250611-0", ("9", "6")),
        ("13~beta1", ("13", None)),
        ("20250101", ("20250101", None)),
        ("rolling", (None, None)),
        ("4d1f9a2", (None, None)),
        ("", (None, None)),
    ],
)
def test_the_numbers_at_the_start_of_a_version_id_are_split(version: str, parts: tuple[str | None, ...]) -> None:
    release = parse_osrelease(f"ID='x'\nVERSION_ID=\"{version}\"\n# comment\n")
    assert (release["ID"], release["VERSION_ID"]) == ("x", version)
    assert (release.get("VERSION_ID.major"), release.get("VERSION_ID.minor")) == parts


@pytest.mark.parametrize(
    ("release", "labels"),
    [
        (
            "ID=rhel\nVERSION_ID=9.8\nOPENSHIFT_VERSION=4.22\nOSTREE_VERSION='9.8.20260712-0'\n",
            {"ID": "rhel", "OPENSHIFT_VERSION": "4.22", "OSTREE_VERSION": "9.8.20260712-0"},
        ),
        (
            'ID="rhcos"\nVERSION_ID="4.17"\nOPENSHIFT_VERSION="4.17"\nRHEL_VERSION=9.4\nOSTREE_VERSION="417.94.202409121747-0"\n',
            {
                "ID": "rhcos",
                "OPENSHIFT_VERSION": "4.17",
                "RHEL_VERSION": "9.4",
                "OSTREE_VERSION": "417.94.202409121747-0",
            },
        ),
        ("ID=debian\nVERSION_ID=13\n", {"ID": "debian"}),
    ],
    ids=["since 4.19", "until 4.18", "other systems"],
)
def test_versions_of_openshift_are_labels_where_the_system_has_them(
    release: str, labels: dict[str, str], lay_out: LayOut
) -> None:
    found = scan(lay_out({"/etc/os-release": release}))[1]
    prefix = "system-os_release."
    assert {key.removeprefix(prefix): value for key, value in found.items() if "VERSION_ID" not in key} == labels

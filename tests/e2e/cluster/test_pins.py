"""Versions stand in go.mod alone, and everything that is built is pinned there."""

import pytest

from tests.e2e.cluster.pins import BINARIES, DEBIAN_PACKAGES, HELM, MODULES, Binary, pins_digest, required_version


@pytest.mark.parametrize("binary", [*BINARIES, HELM], ids=lambda binary: binary.name)
def test_every_program_is_a_tool_of_its_module(binary: Binary) -> None:
    folder = MODULES / binary.module
    assert binary.package in (folder / "go.mod").read_text().split()
    assert (folder / "go.sum").stat().st_size > 0


def test_the_staging_modules_of_kubernetes_have_its_version() -> None:
    go_mod = (MODULES / "kubernetes" / "go.mod").read_text()
    replaced = [line.split() for line in go_mod.splitlines() if "=>" in line]
    version = required_version(go_mod, "k8s.io/kubernetes")
    assert {words[3] for words in replaced} == {version.replace("v1.", "v0.", 1)}
    assert all(words[0] == words[2] for words in replaced)


def test_programs_of_kubernetes_say_their_version() -> None:
    version = required_version((MODULES / "kubernetes" / "go.mod").read_text(), "k8s.io/kubernetes")
    for binary in BINARIES:
        assert any(flag.endswith(f"gitVersion={version}") for flag in binary.flags) == (binary.module == "kubernetes")


@pytest.mark.parametrize(
    ("go_mod", "version"),
    [
        pytest.param("require example.org/a v1.2.3 // indirect\n", "v1.2.3", id="one line"),
        pytest.param("require (\n\texample.org/ab v0.0.1\n\texample.org/a v1.2.3\n)\n", "v1.2.3", id="among others"),
        pytest.param("require (\n\texample.org/a v1.2.3-0.2026+meta\n)", "v1.2.3-0.2026+meta", id="pseudo-version"),
    ],
)
def test_a_version_is_read_from_a_go_mod(go_mod: str, version: str) -> None:
    assert required_version(go_mod, "example.org/a") == version


@pytest.mark.parametrize("go_mod", ["", "module example.org/a\n", "\texample.org/a => example.org/a v1.0.0\n"])
def test_a_module_that_is_not_required_is_an_error(go_mod: str) -> None:
    with pytest.raises(ValueError, match=r"requires no example\.org/a"):
        required_version(go_mod, "example.org/a")


def test_the_digest_names_a_folder_and_stays() -> None:
    assert pins_digest() == pins_digest()
    assert pins_digest().isalnum()


def test_what_a_cluster_has_no_part_in_makes_no_cluster_anew() -> None:
    assert HELM not in BINARIES
    assert pins_digest([HELM]) not in (pins_digest(), pins_digest([]))


def test_packages_are_known_by_a_file_of_their_own() -> None:
    assert len({package.file for package in DEBIAN_PACKAGES}) == len(DEBIAN_PACKAGES)

"""Only go.mod files contain versions, and they pin everything that is built."""

import pytest

from tests.e2e.cluster.pins import (
    BINARIES,
    DEBIAN_PACKAGES,
    HELM,
    MODULES,
    PROMETHEUS,
    PROMTOOL,
    Binary,
    pins_digest,
    required_version,
)


@pytest.mark.parametrize("binary", [*BINARIES, HELM, PROMETHEUS, PROMTOOL], ids=lambda binary: binary.name)
def test_each_program_is_a_tool_of_its_module(binary: Binary) -> None:
    folder = MODULES / binary.module
    assert binary.package in (folder / "go.mod").read_text().split()
    assert (folder / "go.sum").stat().st_size > 0


def test_the_staging_modules_of_kubernetes_have_its_version() -> None:
    go_mod = (MODULES / "kubernetes" / "go.mod").read_text()
    replaced = [line.split() for line in go_mod.splitlines() if "=>" in line]
    version = required_version(go_mod, "k8s.io/kubernetes")
    assert {words[3] for words in replaced} == {version.replace("v1.", "v0.", 1)}
    assert all(words[0] == words[2] for words in replaced)


def test_programs_of_kubernetes_contain_their_version() -> None:
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
def test_a_version_is_parsed_from_a_go_mod(go_mod: str, version: str) -> None:
    assert required_version(go_mod, "example.org/a") == version


@pytest.mark.parametrize("go_mod", ["", "module example.org/a\n", "\texample.org/a => example.org/a v1.0.0\n"])
def test_a_module_that_is_not_required_is_an_error(go_mod: str) -> None:
    with pytest.raises(ValueError, match=r"does not require example\.org/a"):
        required_version(go_mod, "example.org/a")


def test_the_digest_is_stable_and_a_valid_folder_name() -> None:
    assert pins_digest() == pins_digest()
    assert pins_digest().isalnum()


def test_the_digest_of_a_cluster_does_not_depend_on_other_modules() -> None:
    assert HELM not in BINARIES
    assert pins_digest([HELM]) not in (pins_digest(), pins_digest([]))


def test_each_package_has_its_own_file() -> None:
    assert len({package.file for package in DEBIAN_PACKAGES}) == len(DEBIAN_PACKAGES)

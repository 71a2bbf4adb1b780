"""Reads manifests/examples for the tests: the objects, with the test image, and the output that each README documents."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster.image import TEST_IMAGE
from tests.e2e.objects import WAIT, Obj

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
NAMES = tuple(sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "dra"))
"""The examples for which the simulated scheduler suffices. It does not know claims, so tests/manifests/test_dra.py checks dra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """command: the arguments of kubectl. output: of kubectl, without spaces at the ends of lines."""

    command: tuple[str, ...]
    output: str


def parse_expected(readme: str) -> tuple[Expected, ...]:
    """Parses each `$ kubectl ...` in a `console` block, and the lines that follow."""
    expected: list[Expected] = []
    for block in readme.split("```console\n")[1:]:
        for part in block.partition("```")[0].split("$ kubectl ")[1:]:
            command, _, output = part.partition("\n")
            expected.append(Expected(command=tuple(shlex.split(command)), output=tidy(output)))
    return tuple(expected)


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def read_expected(name: str) -> tuple[Expected, ...]:
    return parse_expected((EXAMPLES / name / "README.md").read_text())


def read_values(name: str) -> Obj:
    found: Obj = yaml.safe_load((EXAMPLES / name / "values.yaml").read_text())
    return found


def read_config(name: str) -> str:
    """The config file in the values of an example."""
    text: str = read_values(name)["config"]["map"]["default"]
    return text


def read_objects(name: str, file: str = "pods") -> list[Obj]:
    """The objects of an example. Pods get the test image, which needs no GPU and no registry, and wait."""
    documents = yaml.safe_load_all((EXAMPLES / name / f"{file}.yaml").read_text())
    return [use_test_image(each) if each["kind"] == "Pod" else each for each in documents]


def use_test_image(pod: Obj) -> Obj:
    spec: dict[str, Any] = pod["spec"]
    waiting = {"image": TEST_IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", WAIT]}
    containers = [{**container, **waiting} for container in spec["containers"]]
    return {**pod, "spec": {**spec, "terminationGracePeriodSeconds": 5, "containers": containers}}

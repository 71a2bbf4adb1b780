"""manifests/examples as the tests apply them: with an image that is on every machine; and what their READMEs say comes of it."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster.image import TEST_IMAGE
from tests.e2e.objects import WAIT, Obj

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
NAMES = tuple(sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """command: the words after kubectl. output: what it prints, without spaces at the ends of lines."""

    command: tuple[str, ...]
    output: str


def parse_expected(readme: str) -> tuple[Expected, ...]:
    """Each `$ kubectl ...` in a block of `console`, with the lines that follow."""
    found: list[Expected] = []
    for block in readme.split("```console\n")[1:]:
        for part in block.partition("```")[0].split("$ kubectl ")[1:]:
            command, _, output = part.partition("\n")
            found.append(Expected(command=tuple(shlex.split(command)), output=tidy(output)))
    return tuple(found)


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def read_expected(name: str) -> tuple[Expected, ...]:
    return parse_expected((EXAMPLES / name / "README.md").read_text())


def read_values(name: str) -> Obj:
    found: Obj = yaml.safe_load((EXAMPLES / name / "values.yaml").read_text())
    return found


def read_config(name: str) -> str:
    """The config file that an example's values hold."""
    text: str = read_values(name)["config"]["map"]["default"]
    return text


def read_objects(name: str, file: str = "pods") -> list[Obj]:
    """Pods run on machines without GPUs and without a registry: another image, which waits."""
    documents = yaml.safe_load_all((EXAMPLES / name / f"{file}.yaml").read_text())
    return [run_anywhere(each) if each["kind"] == "Pod" else each for each in documents]


def run_anywhere(pod: Obj) -> Obj:
    spec: dict[str, Any] = pod["spec"]
    here = {"image": TEST_IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", WAIT]}
    containers = [{**container, **here} for container in spec["containers"]]
    return {**pod, "spec": {**spec, "terminationGracePeriodSeconds": 5, "containers": containers}}

"""`python -m tests.stubs write`: generates the stubs of the kubelet's APIs. Run it in the root of the repository.

`python -m tests.stubs write <folder>` writes the stubs to another folder.
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
NAMES = ("deviceplugin", "podresources", "cri", "plugin_registration", "dra", "dra_health")
PROTOS = tuple(f"node_core/kubelet/{name}.proto" for name in NAMES)
STUBS = tuple(proto.replace(".proto", ending) for proto in PROTOS for ending in ("_pb2.py", "_pb2.pyi"))

RELAX = "# mypy: allow-any-generics\n"
"""protoc writes `Mapping` without type arguments."""


def write_stubs(into: Path) -> None:
    """Writes STUBS to a folder. protoc writes absolute imports, so the root is the include path."""
    well_known = files("grpc_tools") / "_proto"
    arguments = [f"--proto_path={ROOT}", f"--proto_path={well_known}", f"--python_out={into}", f"--pyi_out={into}"]
    if protoc.main(["protoc", *arguments, *PROTOS]) != 0:
        sys.exit("protoc failed")
    for stub in STUBS:
        if stub.endswith(".pyi"):
            path = into / stub
            path.write_text(RELAX + path.read_text())


def main(arguments: list[str]) -> None:
    match arguments:
        case ["write"]:
            write_stubs(ROOT)
        case ["write", into]:
            write_stubs(Path(into))
        case _:
            sys.exit("usage: python -m tests.stubs write [folder]")


if __name__ == "__main__":
    main(sys.argv[1:])

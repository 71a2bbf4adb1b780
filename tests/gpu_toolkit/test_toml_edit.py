"""Changes of single values in TOML files."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_toolkit.model import Values
from gpu_toolkit.toml_edit import parse_toml, read_table, restore_values, set_values, with_values, without_empty
from node_core.errors import RuntimeConfigError
from tests.gpu_toolkit.places import CONFIGS

TABLE = ("plugins", "io.containerd.grpc.v1.cri")
HEADER = '[plugins."io.containerd.grpc.v1.cri"]'
ON: Values = {"enable_cdi": True}
BOTH: Values = {"enable_cdi": True, "cdi_spec_dirs": ("/etc/cdi", "/var/run/cdi")}
FILES = [*sorted(CONFIGS.glob("*.toml"))]


def changed(text: str, values: Values = ON) -> str:
    return set_values(text.encode(), "f", TABLE, values).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{HEADER}\nenable_cdi = false\nx = 1\n", f"{HEADER}\nenable_cdi = true\nx = 1\n"),
        (f"{HEADER}\n  x = 1\n", f"{HEADER}\n  enable_cdi = true\n  x = 1\n"),
        (f"{HEADER}\r\nx = 1\r\n", f"{HEADER}\r\nenable_cdi = true\r\nx = 1\r\n"),
        ("a = 1\n", f"a = 1\n\n{HEADER}\nenable_cdi = true\n"),
        ("a = 1", f"a = 1\n\n{HEADER}\nenable_cdi = true\n"),
        ("", f"{HEADER}\nenable_cdi = true\n"),
        (f"{HEADER} # why\n", f"{HEADER} # why\nenable_cdi = true\n"),
        ("[plugins.'io.containerd.grpc.v1.cri']\n", "[plugins.'io.containerd.grpc.v1.cri']\nenable_cdi = true\n"),
        (
            '[plugins."io.containerd.grpc.v1.cri".cni]\na = 1\n',
            f'[plugins."io.containerd.grpc.v1.cri".cni]\na = 1\n\n{HEADER}\nenable_cdi = true\n',
        ),
        (f'{HEADER}\n"enable_cdi" = false\n', f"{HEADER}\nenable_cdi = true\n"),
    ],
)  # fmt: skip
def test_only_the_line_of_the_value_changes(before: str, after: str) -> None:
    assert changed(before) == after


def test_a_list_over_several_lines_is_replaced() -> None:
    before = f'{HEADER}\ncdi_spec_dirs = [\n  "/etc/cdi", # why\n]\nx = 1\n'
    assert (
        changed(before, BOTH) == f'{HEADER}\nenable_cdi = true\ncdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]\nx = 1\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        'plugins = {"io.containerd.grpc.v1.cri" = {}}\n',
        '[plugins]\n"io.containerd.grpc.v1.cri".x = 1\n',
        f'a = """\n{HEADER}\n"""\n',
        'plugins = 3\n',
    ],
    ids=["inline table", "dotted key", "header in a text", "no table"],
)  # fmt: skip
def test_a_file_that_is_written_in_an_unusual_way_is_refused_or_right(text: str) -> None:
    try:
        after = changed(text)
    except RuntimeConfigError:
        return
    assert tomllib.loads(after) == with_values(tomllib.loads(text), TABLE, ON)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = 1\nb = [\n", "f, end of document: this is not TOML"),
        (b"a = 1\nb == 2\n", "f, line 2, column 4: this is not TOML"),
        (b"a = 1\n# \xff\n", "f, line 2: this is not TOML: the text is not UTF-8"),
        (b"a" * (1 << 20) + b"b", "f is larger than"),
        (b"a = " + b"[" * 5000, "this is not TOML"),
        (b"\0", "f, line 1, column 1: this is not TOML"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_toml_is_named_with_its_line(content: bytes, why: str) -> None:
    with pytest.raises(RuntimeConfigError) as caught:
        set_values(content, "f", TABLE, ON)
    assert why in str(caught.value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("values", [ON, BOTH], ids=["one", "both"])
def test_real_configs_get_the_values_and_nothing_else(file: Path, values: Values) -> None:
    before = file.read_bytes()
    table = next(
        (t for t in (TABLE, ("plugins", "io.containerd.cri.v1.runtime")) if read_table(parse_toml(before, "f"), t)),
        TABLE,
    )
    after = set_values(before, "f", table, values)
    assert parse_toml(after, "f") == with_values(parse_toml(before, "f"), table, values)
    lines = set(before.splitlines())
    assert len([line for line in after.splitlines() if line not in lines]) <= len(values) + 1
    assert restore_values(b"# by others\n" + after, before, "f", table, values) == b"# by others\n" + before


keys = st.sampled_from(["a", "enable_cdi", "cdi_spec_dirs", "x-1", '"quoted key"'])
scalars = st.sampled_from(
    ["1", "true", "false", '"text"', "'[plugins]'", '["/etc/cdi"]', '[\n  "a",\n  "b",\n]', '"""\nx = 1\n"""']
)
headers = st.sampled_from(["[plugins]", HEADER, '[plugins."io.containerd.grpc.v1.cri".cni]', "[other]", "[[list]]"])


@st.composite
def configs(draw: st.DrawFn) -> str:
    """A TOML file, in most cases a valid one."""
    lines = ["version = 2"] if draw(st.booleans()) else []
    for header in draw(st.lists(headers, unique=True, max_size=4)):
        indent = draw(st.sampled_from(["", "  ", "\t"]))
        lines.append(indent + header)
        lines += [f"{indent}{key} = {draw(scalars)}" for key in draw(st.lists(keys, unique=True, max_size=4))]
        lines += draw(st.lists(st.sampled_from(["", "# comment"]), max_size=2))
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(configs(), st.sampled_from([ON, BOTH]))
def test_a_change_sets_the_values_and_what_others_add_survives_its_removal(text: str, values: Values) -> None:
    try:
        before = parse_toml(text.encode(), "f")
        after = set_values(text.encode(), "f", TABLE, values)
    except RuntimeConfigError:
        return
    assert parse_toml(after, "f") == with_values(before, TABLE, values)
    others = b"# by others\n" + after + (b"" if after.endswith(b"\n") else b"\n") + b"[by-others]\nx = 1\n"
    restored = parse_toml(restore_values(others, text.encode(), "f", TABLE, values), "f")
    assert without_empty(restored) == without_empty({**before, "by-others": {"x": 1}})


def test_a_value_that_others_have_changed_is_not_restored() -> None:
    before = f"{HEADER}\nenable_cdi = false\n".encode()
    others = set_values(before, "f", TABLE, ON).replace(b"true", b"false # off again")
    assert restore_values(others, before, "f", TABLE, ON) == others

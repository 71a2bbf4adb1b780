"""Sprig's functions on slash-separated paths; the `os` ones are the same on Linux. Source: masterminds.github.io/sprig/paths.html."""

from nfd_lite.rules.template.function import table


def base(path: str) -> str:
    """The last element; `.` for an empty path, `/` for one of slashes."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def dir_(path: str) -> str:
    return clean(path[: path.rfind("/") + 1])


def clean(path: str) -> str:
    """The shortest path to the same place, without looking at any disk."""
    rooted = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif part not in {"", "."} and not (part == ".." and rooted):
            kept.append(part)
    return "/" * rooted + "/".join(kept) or "."


def ext(path: str) -> str:
    """From the last dot of the last element on."""
    name = path[path.rfind("/") + 1 :]
    return name[name.rfind(".") :] if "." in name else ""


def is_abs(path: str) -> bool:
    return path.startswith("/")


FUNCTIONS = table(
    {
        "base": base,
        "dir": dir_,
        "clean": clean,
        "ext": ext,
        "isAbs": is_abs,
        "osBase": base,
        "osDir": dir_,
        "osClean": clean,
        "osExt": ext,
        "osIsAbs": is_abs,
    }
)

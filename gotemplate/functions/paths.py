"""Sprig's functions for slash-separated paths. The `os` functions are the same on Linux. Source: masterminds.github.io/sprig/paths.html."""

from gotemplate.function import function_table


def base(path: str) -> str:
    """Returns the last element; `.` for an empty path, `/` for a path of slashes only."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def dir_(path: str) -> str:
    return clean(path[: path.rfind("/") + 1])


def clean(path: str) -> str:
    """Returns the shortest equal path. Does not read the file system."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in {"", "."} and not (part == ".." and rooted):
            parts.append(part)
    return "/" * rooted + "/".join(parts) or "."


def ext(path: str) -> str:
    """Returns the extension with its dot, or ""."""
    name = path[path.rfind("/") + 1 :]
    return name[name.rfind(".") :] if "." in name else ""


def is_abs(path: str) -> bool:
    return path.startswith("/")


FUNCTIONS = function_table({
    "base osBase": base, "dir osDir": dir_, "clean osClean": clean, "ext osExt": ext, "isAbs osIsAbs": is_abs,
})  # fmt: skip

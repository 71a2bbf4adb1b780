"""Sprig's urlParse and urlJoin. Source: masterminds.github.io/sprig/url.html, pkg.go.dev/net/url."""

import re
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.run import Run
from gotemplate.values import from_bytes, to_bytes, type_name

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"//([^/]*)(.*)", re.DOTALL)
_HOST_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=<>\"]|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f])"
_HOST = re.compile(rf"(\[[^\[\]\s]*\]|(?:{_HOST_CHARACTER}|:(?=[^:]*:))*)(?::[0-9]*)?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_PATH_SAFE = "$&+,/:;=@"
_FRAGMENT_SAFE = "$&+,/:;=?@!()*"
_HOST_SAFE = "!$&'()*+,;=:[]<>\""


def url_parse(text: str) -> dict[str, Any]:
    """Returns the parts of a URL: scheme, host, hostname, path, query, opaque, fragment, userinfo. A missing part is ""."""
    if any(character < " " or character == "\x7f" for character in text):
        raise _unreadable(text, "invalid control character in URL")
    address, _, fragment = text.partition("#")
    match = _SCHEME.fullmatch(address)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", address)
    if scheme == "" and rest.startswith(":"):
        raise _unreadable(text, "missing protocol scheme")
    rest, _, query = rest.partition("?")
    opaque = rest if scheme and rest and not rest.startswith("/") else ""
    userinfo, host, path = ("", "", "") if opaque else _authority(text, scheme, rest)
    return {
        "scheme": scheme,
        "host": host,
        "hostname": _hostname(host),
        "path": _unescaped(text, path),
        "query": query,
        "opaque": opaque,
        "fragment": _unescaped(text, fragment),
        "userinfo": userinfo,
    }


def _authority(text: str, scheme: str, rest: str) -> tuple[str, str, str]:
    """Returns user information, host and path."""
    match = _AUTHORITY.fullmatch(rest) if scheme or not rest.startswith("///") else None
    if match is None:
        if not scheme and ":" in rest.partition("/")[0]:
            raise _unreadable(text, "first path segment in URL cannot contain colon")
        return "", "", rest
    userinfo, _, host = match[1].rpartition("@")
    if _HOST.fullmatch(host) is None:
        raise _unreadable(text, f"invalid host {host!r}")
    if _USER.fullmatch(userinfo) is None:
        raise _unreadable(text, "net/url: invalid userinfo")
    _unescaped(text, userinfo)
    return userinfo.replace("@", "%40"), _unescaped(text, host), match[2]


def _hostname(host: str) -> str:
    match = _HOST.fullmatch(host)
    name = match[1] if match else host
    return name[1:-1] if name.startswith("[") else name


def _unescaped(text: str, part: str) -> str:
    broken = _BROKEN_ESCAPE.search(part)
    if broken is not None:
        raise _unreadable(text, f"invalid URL escape {part[broken.start() : broken.start() + 3]!r}")
    return from_bytes(unquote_to_bytes(to_bytes(part)))


def _unreadable(text: str, reason: str) -> TemplateError:
    return TemplateError(f"unable to parse url {text[:80]!r}: {reason}")


def url_join(run: Run, parts: dict[str, Any]) -> str:
    """Joins the parts of a URL. The parts are those of `urlParse`."""
    scheme, opaque, host, path, query, fragment, userinfo = (
        _part(parts, name) for name in ("scheme", "opaque", "host", "path", "query", "fragment", "userinfo")
    )
    run.reserve(3 * (len(host) + len(path) + len(fragment)))
    authority = f"{userinfo}{'@' * bool(userinfo)}{_escaped(host, _HOST_SAFE)}"
    slashes = "//" if authority or (scheme and path) else ""
    gap = "/" if host and path and not path.startswith("/") else ""
    place = opaque or slashes + authority + gap + _escaped(path, _PATH_SAFE)
    return f"{scheme}{':' * bool(scheme)}{place}{'?' * bool(query)}{query}{'#' * bool(fragment)}{_escaped(fragment, _FRAGMENT_SAFE)}"


def _escaped(part: str, safe: str) -> str:
    return part if part == "*" else quote_from_bytes(to_bytes(part), safe=safe)


def _part(parts: dict[str, Any], name: str) -> str:
    value = parts.get(name, "")
    if not isinstance(value, str):
        raise TemplateError(f"{name} of the URL has the type {type_name(value)}. Use a string.")
    return value


FUNCTIONS = function_table({"urlParse": url_parse, "urlJoin": url_join})

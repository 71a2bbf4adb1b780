"""Patterns for names of products and profiles, as NVIDIA's config file has them: `*` is any text, all else is itself."""


def matches_pattern(pattern: str, text: str) -> bool:
    """Whether all of the text is like the pattern. In linear time, whatever people write."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True

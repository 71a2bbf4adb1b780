"""Patterns for names of products and MIG profiles in NVIDIA's config file. `*` matches any text."""


def matches_pattern(pattern: str, text: str) -> bool:
    """True if the pattern matches the whole text. Runs in linear time for every pattern."""
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

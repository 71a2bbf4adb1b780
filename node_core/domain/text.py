"""Text of others, made fit to be shown. PURE."""


def plain(text: str) -> str:
    """Without codes that a terminal would obey, and without lines of its own: the text is somebody's."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)

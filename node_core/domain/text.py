"""Text from users and other programs. PURE."""


def to_printable(text: str) -> str:
    """Replaces control characters and line breaks by `?`, so the text can neither control a terminal nor add lines."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)

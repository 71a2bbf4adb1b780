"""What goes wrong in a template, in one sentence with its line."""


class TemplateError(Exception):
    """line: where in the template, or None where no line is to blame."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"

    def blame(self, line: int) -> None:
        """Name the line, unless one closer to the fault is named already."""
        if self.line is None:
            self.line = line

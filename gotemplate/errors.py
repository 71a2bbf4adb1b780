"""The error of a template."""


class TemplateError(Exception):
    """Why a template cannot be parsed or rendered. line: the line of the template; None if the error has no line."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"

    def set_line(self, line: int) -> None:
        """Sets the line if no inner statement has set one."""
        if self.line is None:
            self.line = line

"""One error tree. Third-party exceptions are translated into it at the door of the library that raises them."""

from collections.abc import Sequence


class NodeError(Exception):
    """Something the node, its API server or its kubelet would not give us.

    message: what failed and where. hint: what a person can do about it, or None.
    retryable: whether trying again later, with nothing else changed, may work.
    """

    retryable: bool = True

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class HostReadError(NodeError):
    """A file or directory of the host that should be readable is not, or holds what its kernel document rules out."""


class NvmlError(NodeError):
    """An NVML call failed. call: the NVML function; code: the name of its nvmlReturn_t without the prefix."""

    def __init__(self, call: str, code: str, *, hint: str | None = None) -> None:
        super().__init__(f"{call} answered {code}", hint=hint)
        self.call = call
        self.code = code


class KubeError(NodeError):
    """The Kubernetes API refused or did not answer. status: the HTTP status, 0 when there was no answer."""

    def __init__(self, message: str, *, status: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class KubeletError(NodeError):
    """The kubelet's device-plugin directory or socket is missing, or the kubelet refused what we asked."""


class PublishError(NodeError):
    """Labels could not be written to their destination."""


class SettingsError(NodeError):
    """Wrong flags, environment or config file. problems: every problem found, one line each, with its path."""

    retryable = False

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

"""All exceptions of the project. The module that calls a library translates the exceptions of the library into these."""

from collections.abc import Sequence


class NodeError(Exception):
    """A failure of the node, its API server or its kubelet. message: what failed and where. hint: what a person can do, or None."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class HostReadError(NodeError):
    """A file or directory of the host is unreadable, or its content does not match the kernel's documentation."""


class NvmlError(NodeError):
    """An NVML call failed. call: the NVML function; code: the name of its nvmlReturn_t without the prefix."""

    def __init__(self, call: str, code: str, *, hint: str | None = None) -> None:
        super().__init__(f"{call} returned {code}", hint=hint)
        self.call = call
        self.code = code


class MigError(NodeError):
    """A MIG layout is not possible, or could not be changed."""


class DriverError(NodeError):
    """The driver of a node cannot be removed, or its pods cannot be evicted."""


class HostCommandError(NodeError):
    """A command of the host failed, or did not end."""


class RuntimeConfigError(NodeError):
    """The container runtime of the node cannot be read or configured."""


class ClaimError(NodeError):
    """A ResourceClaim cannot be prepared or reverted on this node."""


class NotReadError(NodeError):
    """An input that another thread reads has not been read yet. Its first state causes a new attempt."""


class KubeError(NodeError):
    """A request to the Kubernetes API failed. status: the HTTP status, 0 without a response."""

    def __init__(self, message: str, *, status: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status

    @property
    def is_final(self) -> bool:
        """True if the same request would fail again. Not for 401, 403 and 409: credentials, roles and conflicts can change."""
        return 400 <= self.status < 500 and self.status not in (401, 403, 408, 409, 429)


class KubeletError(NodeError):
    """The kubelet's device-plugin directory or socket is missing, or the kubelet rejected a request."""


class PublishError(NodeError):
    """Labels cannot be written to their destination."""


class SettingsError(NodeError):
    """Invalid flags, environment variables or config files. problems: all problems, one line each, with the path of the value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

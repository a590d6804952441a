"""What a call to a model server can end with, and which call it was.

The codes are gRPC's names, over REST too, so that a caller does not see which protocol is spoken.
Reference: https://grpc.io/docs/guides/status-codes/
"""

from dataclasses import dataclass

OK = "OK"
UNAVAILABLE = "UNAVAILABLE"
RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
INVALID_ARGUMENT = "INVALID_ARGUMENT"
NOT_FOUND = "NOT_FOUND"
INTERNAL = "INTERNAL"
RETRYABLE = frozenset({UNAVAILABLE, RESOURCE_EXHAUSTED})
"""The server did not work on the request: it can be sent again."""


class ServingError(RuntimeError):
    """A call to a model server failed.

    Args:
        message: what happened.
        code: gRPC's name of it, e.g. `UNAVAILABLE`.
        model: the model that was asked.
        version: the version that was asked for, if one was.
        label: the label that was asked for, if one was.
        retryable: whether the same request may succeed a moment later.
    """

    attempts = 1
    """How often the request was sent."""
    retry_after_seconds = 0.0
    """How long the server asks to be left alone."""

    def __init__(
        self,
        message: str,
        code: str,
        model: str,
        version: int | None = None,
        label: str | None = None,
        retryable: bool = False,
    ):
        super().__init__(message, code, model, version, label, retryable)
        self.message, self.code, self.retryable = message, code, retryable
        self.model, self.version, self.label = model, version, label

    def __str__(self) -> str:
        tried = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        return f"{Target(self.model, self.version, self.label)}: {self.code}: {self.message}{tried}"


class Unavailable(ServingError):
    """The server cannot be reached, or is overloaded."""


class DeadlineExceeded(ServingError):
    """There was no answer in time."""


class InvalidRequest(ServingError):
    """The request does not fit the model; sending it again would not help."""


class NotFound(ServingError):
    """The server has no such model, version or label."""


class UnexpectedAnswer(ServingError):
    """The answer is not what the model's signature says."""


CLASSES = {
    UNAVAILABLE: Unavailable,
    RESOURCE_EXHAUSTED: Unavailable,
    DEADLINE_EXCEEDED: DeadlineExceeded,
    INVALID_ARGUMENT: InvalidRequest,
    NOT_FOUND: NotFound,
}


@dataclass(frozen=True)
class Target:
    """Which model a call is for; without version and label it is the newest version.

    Args:
        model: its name.
        version: a version.
        label: a label, e.g. `stable`.
    """

    model: str
    version: int | None = None
    label: str | None = None

    def checked(self) -> "Target":
        """The same, if it can be asked for.

        Raises:
            InvalidRequest: if version and label are both given, or a name is empty or a path.
        """
        if self.version is not None and self.label is not None:
            raise self.invalid("give a version or a label, not both")
        for name in (self.model, self.label):
            if name is not None and (not name or name in (".", "..") or set("/:?#") & set(name)):
                raise self.invalid(f"{name!r} is not a name: it must not be empty or hold any of / : ? #")
        return self

    def __str__(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        label = "" if self.label is None else f" label {self.label!r}"
        return f"model {self.model!r}{version}{label}"

    def error(self, code: str, message: str, *, retry_after_seconds: float | None = 0.0) -> ServingError:
        """The error of a code, of the class that belongs to it.

        Args:
            code: gRPC's name.
            message: what happened.
            retry_after_seconds: how long the server asks to be left alone; None: for ever.
        """
        retryable = code in RETRYABLE and retry_after_seconds is not None
        error = CLASSES.get(code, ServingError)(message, code, self.model, self.version, self.label, retryable)
        error.retry_after_seconds = retry_after_seconds or 0.0
        return error

    def invalid(self, message: str) -> ServingError:
        """A request that does not fit the model."""
        return self.error(INVALID_ARGUMENT, message)

    def unexpected(self, message: str) -> UnexpectedAnswer:
        """An answer that does not fit the signature."""
        return UnexpectedAnswer(message, INTERNAL, self.model, self.version, self.label)

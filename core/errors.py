"""The one way to say no: an error a person can act on."""

from typing import Any, ClassVar


class DomainError(Exception):
    """A request that a rule refuses. Nothing was written.

    Subclasses sit beside the service that raises them, set `code` (stable, for machines) and `status` (HTTP: 409 for a
    rule, 422 for input, 404 for what one may not see, 403 for what one may not do), and put a sentence that says what is
    wrong, where, and what to do. The numbers of the sentence are kept in `details` for the JSON face.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 409

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInput(DomainError):
    """Input that can't be taken as it is; `field` names where (a form field or a JSON path), if one place is to blame."""

    code = "invalid_input"
    status = 422

    def __init__(self, message: str, *, field: str | None = None, **details: Any) -> None:
        super().__init__(message, **({"field": field} if field else {}), **details)
        self.field = field


class NotFound(DomainError):
    """The thing does not exist, or the asker may not know that it does."""

    code = "not_found"
    status = 404


class NotAllowed(DomainError):
    """The asker is known but lacks the role for this."""

    code = "not_allowed"
    status = 403


class IllegalTransition(DomainError):
    """A state machine was asked for a step it does not have."""

    code = "illegal_transition"

    def __init__(self, what: str, current: str, wanted: str) -> None:
        super().__init__(
            f"{what} is {current.replace('_', ' ')}; from there it can't become {wanted.replace('_', ' ')}.",
            current=str(current),
            wanted=str(wanted),
        )


class InfrastructureError(Exception):
    """Something around us failed (database, disk, a remote service): not the asker's fault; exit code 3 on the CLI."""

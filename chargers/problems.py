"""Problem: an error with what a caller needs to mend it. Becomes problem+json (RFC 9457) at the
edge, in `gateway.problems`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

MOST_TOLD = 100
MOST_READ = 4_000


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field: `field` as a path such as `limit.value`."""

    field: str
    code: str
    detail: str


class Problem(Exception):
    """Raised anywhere below a view; `errors` names each offending field."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str = "",
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors) or ([FieldError(field, code, detail)] if field else [])
        self.retry_after_s = retry_after_s

    @classmethod
    def invalid(cls, errors: Iterable[FieldError]) -> Problem:
        """400 with everything that is wrong at once or, where that is very much, the first
        MOST_TOLD and how many more there are: no answer is many times its question."""
        rest = iter(errors)
        told = list(islice(rest, MOST_TOLD))
        detail = shorten("; ".join(f"{error.field}: {error.detail}" for error in told))
        if more := sum(1 for _ in rest):
            detail += f"; and {more} more"
        return cls(400, "invalid", detail, errors=told)


def shorten(text: str) -> str:
    """The beginning of a text, as much as anybody reads."""
    return text if len(text) <= MOST_READ else f"{text[:MOST_READ]}…"


def new_reference() -> str:
    """What names a failure to whoever met it and in the log."""
    return secrets.token_hex(6)


def failure_text(reference: str) -> str:
    """What is told of a failure of our own: nothing of its inside."""
    return f"The gateway failed; its log has the reference {reference}."

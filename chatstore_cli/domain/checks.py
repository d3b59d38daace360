"""The result of one check of `chatstore verify`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """The outcome of a check. Only `fail` makes the command exit with status 6."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the checklist. `seconds` is its duration; `hint` is what to do, unless it passed."""

    name: str
    status: CheckStatus
    seconds: float
    detail: str
    hint: str | None = None

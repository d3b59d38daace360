"""The result of one check of `chatstore verify`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """How a check ended; only `fail` makes the command end with 6."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the checklist. `seconds` is how long it took; `hint` says what to do where it is not a pass."""

    name: str
    status: CheckStatus
    seconds: float
    detail: str
    hint: str | None = None

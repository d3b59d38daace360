"""A checklist: named checks, run one after the other, each timed, each ending in pass, warn, fail or skip."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chatstore_cli.domain.checks import CheckResult, CheckStatus
from chatstore_cli.domain.errors import BadValue, ChatstoreError


class Verdict(NamedTuple):
    """How a check ended; `hint` says what to do where it is not a pass."""

    status: CheckStatus
    detail: str
    hint: str | None = None


def passed(detail: str) -> Verdict:
    """All is well."""
    return Verdict(CheckStatus.PASS, detail)


def warned(detail: str, hint: str) -> Verdict:
    """Worth a look."""
    return Verdict(CheckStatus.WARN, detail, hint)


def failed(detail: str, hint: str) -> Verdict:
    """Broken."""
    return Verdict(CheckStatus.FAIL, detail, hint)


def skipped(reason: str, hint: str | None = None) -> Verdict:
    """Not looked at, and why."""
    return Verdict(CheckStatus.SKIP, reason, hint)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. Where one that it `needs` has failed it is skipped, for that reason."""

    name: str
    run: Callable[[], Verdict]
    needs: str | None = None


def run_checks(checks: Sequence[Check], timer: Callable[[], float] = time.perf_counter) -> Iterator[CheckResult]:
    """Run them in order. An error of ours or the system's is a failed check, with a hint."""
    broken: set[str] = set()
    for check in checks:
        if check.needs in broken:
            broken.add(check.name)
            yield CheckResult(check.name, CheckStatus.SKIP, 0.0, f"not looked at, because {check.needs} failed")
            continue
        began = timer()
        try:
            verdict = check.run()
        except ChatstoreError as error:
            verdict = Verdict(CheckStatus.FAIL, error.message, error.hint)
        except OSError as error:
            verdict = failed(f"{error.filename or check.name}: {error.strerror or error}", "See to it that this works.")
        if verdict.status is CheckStatus.FAIL:
            broken.add(check.name)
        yield CheckResult(check.name, verdict.status, timer() - began, verdict.detail, verdict.hint)


def chosen(checks: Sequence[Check], only: Collection[str], skip: Collection[str]) -> list[Check]:
    """The checks named by `only` (all where it is empty) without those named by `skip`. Raises BadValue for others."""
    names = [check.name for check in checks]
    for option, given in (("--only", only), ("--skip", skip)):
        for name in given:
            if name not in names:
                raise BadValue(name=option, value=name, expected=f"a check; there are: {', '.join(names)}")
    return [check for check in checks if (not only or check.name in only) and check.name not in skip]


def has_failed(results: Sequence[CheckResult]) -> bool:
    """Whether any check failed; warnings and skipped checks do not count."""
    return any(result.status is CheckStatus.FAIL for result in results)

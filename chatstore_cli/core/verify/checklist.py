"""A checklist: named checks that run one after the other, each with its time and one of pass, warn, fail or skip."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chatstore_cli.core.choices import not_one_of
from chatstore_cli.domain.checks import CheckResult, CheckStatus
from chatstore_cli.domain.errors import ChatstoreError

READ_ONLY = "it writes, and --read-only is set"
_SHOWN = 3


class Verdict(NamedTuple):
    """The outcome of a check. `hint` is what to do, unless it passed."""

    status: CheckStatus
    detail: str
    hint: str | None = None


def passed(detail: str) -> Verdict:
    """The check found nothing wrong."""
    return Verdict(CheckStatus.PASS, detail)


def warned(detail: str, hint: str) -> Verdict:
    """The check found something to look into."""
    return Verdict(CheckStatus.WARN, detail, hint)


def failed(detail: str, hint: str) -> Verdict:
    """The check failed."""
    return Verdict(CheckStatus.FAIL, detail, hint)


def skipped(reason: str, hint: str | None = None) -> Verdict:
    """The check did not run, for this reason."""
    return Verdict(CheckStatus.SKIP, reason, hint)


def too_slow(collection: str, seconds: float) -> Verdict:
    """The verdict of a check that was stopped at its time limit."""
    return skipped(f"reading {collection} took longer than {seconds:g} seconds", "Increase verify.seconds_per_check.")


def shorten(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. It is skipped if the check named by `needs` failed or was skipped for that reason."""

    name: str
    run: Callable[[], Verdict]
    needs: str | None = None


def run_checks(checks: Sequence[Check], timer: Callable[[], float] = time.perf_counter) -> Iterator[CheckResult]:
    """Run the checks in order. A ChatstoreError or OSError makes a failed check."""
    broken: set[str] = set()
    for check in checks:
        if check.needs in broken:
            broken.add(check.name)
            yield CheckResult(check.name, CheckStatus.SKIP, 0.0, f"skipped because {check.needs} failed")
            continue
        began = timer()
        try:
            verdict = check.run()
        except ChatstoreError as error:
            verdict = Verdict(CheckStatus.FAIL, error.message, error.hint)
        except OSError as error:
            verdict = failed(
                f"{error.filename or check.name}: {error.strerror or error}",
                "Fix the cause, then run chatstore verify again.",
            )
        if verdict.status is CheckStatus.FAIL:
            broken.add(check.name)
        yield CheckResult(check.name, verdict.status, timer() - began, verdict.detail, verdict.hint)


def selected(checks: Sequence[Check], only: Collection[str], skip: Collection[str]) -> list[Check]:
    """The checks named by `only` (all if empty) without those named by `skip`. Raises BadValue for unknown names."""
    names = [check.name for check in checks]
    for option, selection in (("--only", only), ("--skip", skip)):
        for name in selection:
            if name not in names:
                raise not_one_of(option, name, names, expected=f"one of the checks {', '.join(names)}")
    return [check for check in checks if (not only or check.name in only) and check.name not in skip]


def has_failed(results: Sequence[CheckResult]) -> bool:
    """Whether any check failed; warnings and skipped checks do not count."""
    return any(result.status is CheckStatus.FAIL for result in results)

"""The reasons for which a test may skip in CI, and the check that no other test does.

Without `CI=true` every skip is allowed: a machine may lack AG2, a MongoDB or the right to mount a file system.
"""

from __future__ import annotations

import os
import re

import pytest

ALLOWED_SKIPS = {
    r"long: only with --soak": "`make soak` runs these tests.",
    r"the Taskmaster-4 conversations are not beside this project .*": "A clone does not have these data.",
    r"the documents are not beside this project .*": "Tests of our own cover the same calls: tests/aio/test_threads.py.",
    r"libfaketime is not installed": "The same promises are tested with injected clocks.",
    r"only root can become another user": "CI runs the tests as root; a developer may not.",
    r"(zsh|fish) is not installed": "The answers of the command are tested without a shell, and .ci/run installs both.",
    r"groff is not installed": "A developer may not have it. .ci/run installs it.",
    r"mongomock cannot .*": "The contract suite runs the same case on a real server.",
}
"""Patterns for the whole reason, each with why the promise is tested nevertheless."""

SKIPS_ARE_CHECKED = os.environ.get("CI") == "true"


class SkipChecker:
    """A pytest plugin: the run fails if a test skips for a reason that ALLOWED_SKIPS does not have."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at each test's outcome."""
        self._check(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Look at each module's outcome: a whole module can skip."""
        self._check(report)

    def _check(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = skip_reason(report)
        if not any(re.fullmatch(pattern, reason, re.DOTALL) for pattern in ALLOWED_SKIPS):
            self.refused[report.nodeid] = reason

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that would have passed."""
        if self.refused and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the tests that had to run."""
        if not self.refused:
            return
        terminalreporter.section("tests that may not skip in CI", red=True)
        for nodeid, reason in self.refused.items():
            terminalreporter.write_line(f"{nodeid}: {reason}")
        terminalreporter.write_line("The allowed reasons are in tests/support/allowed_skips.py.")


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason that a test gave for its skip."""
    location = report.longrepr
    text = location[2] if isinstance(location, tuple) else str(location)
    return text.removeprefix("Skipped: ")

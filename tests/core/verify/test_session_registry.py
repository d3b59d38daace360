"""The check that compares the session registry with the stored sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from chatstore_cli.core.verify.session_registry import registry_verdict
from chatstore_cli.domain.checks import CheckStatus
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_registry import ClientSession, RegistryEntry, WorkflowContext
from tests.support.registry_stores import NOON

NOW = NOON + timedelta(hours=1)


class Sample:
    """Entries that were sampled."""

    collection = "chat_session_registry"

    def __init__(self, *workflows: WorkflowContext) -> None:
        self.entries: list[RegistryEntry] | None = [RegistryEntry(ClientSession("acme", "ann", "laptop"), workflows)]

    def open_entries(self) -> list[RegistryEntry] | None:
        """As the port says."""
        return self.entries


def workflow(chat_id: str = "c1", status: str = "paused", minutes: int = 0) -> WorkflowContext:
    """A workflow that was started some minutes after noon."""
    return WorkflowContext(
        chat_id, "Generator", "acme", "ann", status=status, created_at=NOON + timedelta(minutes=minutes)
    )


def finder(**facts: object) -> Callable[[str], Session | None]:
    """Finds a session with these facts for every id."""
    return lambda chat_id: Session(chat_id, "workflow", **{"tenant_id": "acme", **facts})


@pytest.mark.parametrize(
    ("find", "fault"),
    [
        (lambda _: None, "'c1' of client session 'laptop' is paused, and has no session"),
        (
            finder(tenant_id="other"),
            "'c1' of client session 'laptop' is paused, and its session belongs to another tenant",
        ),
        (
            finder(status=SessionStatus.COMPLETED),
            "'c1' of client session 'laptop' is paused, and its session is completed",
        ),
        (finder(status=SessionStatus.FAILED), "'c1' of client session 'laptop' is paused, and its session is failed"),
        (finder(status=SessionStatus.RUNNING), None),
        (finder(tenant_id=None), None),
    ],
)
def test_a_workflow_that_nobody_can_continue_is_named(find: Callable[[str], Session | None], fault: str | None) -> None:
    verdict = registry_verdict(Sample(workflow()), find, NOW, 5)
    assert verdict.status is (CheckStatus.PASS if fault is None else CheckStatus.WARN)
    expected = "1 active or paused workflow compared"
    assert verdict.detail == (expected if fault is None else f"{expected}; {fault}")


def test_a_workflow_that_was_just_started_may_have_no_session_yet() -> None:
    sample = Sample(workflow("c1", "active", 56), workflow("c2", "active", 55))
    verdict = registry_verdict(sample, lambda _: None, NOW, 5)
    assert verdict.detail.endswith("; 'c2' of client session 'laptop' is active, and has no session")


def test_completed_workflows_are_left_out_and_long_lists_are_shortened() -> None:
    assert registry_verdict(Sample(workflow(status="completed")), lambda _: None, NOW, 5).status is CheckStatus.SKIP
    many = Sample(*(workflow(f"{number}{'x' * 200}") for number in range(5)))
    verdict = registry_verdict(many, lambda _: None, NOW, 5)
    assert verdict.detail.count("has no session") == 3
    assert verdict.detail.endswith(", and 2 more")
    assert len(verdict.detail) < 500


def test_it_stops_at_the_time_limit() -> None:
    sample = Sample(workflow("c1"), workflow("c2"), workflow("c3"))
    seconds: Iterator[float] = iter([0.0, 1.0, 4.0, 5.0])
    verdict = registry_verdict(sample, lambda _: None, NOW, 5, lambda: next(seconds))
    assert verdict.detail.startswith("only 2 active or paused workflows compared within 5 seconds; 'c1'")

    def overdue(chat_id: str) -> None:
        if chat_id == "c2":
            raise Overdue(what="too slow")

    assert registry_verdict(sample, overdue, NOW, 5).detail.startswith("only 1 active or paused workflow compared")
    seconds = iter([0.0, 5.0])
    assert registry_verdict(sample, overdue, NOW, 5, lambda: next(seconds)).status is CheckStatus.SKIP
    sample.entries = None
    assert registry_verdict(sample, overdue, NOW, 5).status is CheckStatus.SKIP

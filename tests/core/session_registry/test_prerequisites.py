"""Whatever a prerequisites hook does, its answer is clear."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from chatstore_cli.core.session_registry import prerequisites
from chatstore_cli.core.session_registry.prerequisites import HookPrerequisites
from chatstore_cli.domain.session_registry import WorkflowRequest

REQUEST = WorkflowRequest("start", "acme", "ann", "laptop", "Generator", "c1", None)


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """A module `guards_of_test` that can be imported."""
    module = types.ModuleType("guards_of_test")
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_the_hook_gets_the_request_and_allows_it_with_true(module: Any) -> None:
    asked: list[WorkflowRequest] = []
    module.guard = lambda request: asked.append(request) or True
    assert HookPrerequisites("guards_of_test:guard").refusal(REQUEST) is None
    assert asked == [REQUEST]


def test_a_text_is_the_reason() -> None:
    assert HookPrerequisites(lambda _: " Buy a plan first. ").refusal(REQUEST) == "Buy a plan first."
    assert HookPrerequisites(lambda _: "x" * 900).refusal(REQUEST) == "x" * 500 + "…"


@pytest.mark.parametrize("answer", [None, False, 1, 0, "", "  ", (True, None), object()])
def test_any_other_answer_refuses(answer: object) -> None:
    reason = HookPrerequisites(lambda _: answer).refusal(REQUEST)
    assert reason == f"the prerequisites hook returned a value of type {type(answer).__name__}, not True or a reason"


def test_a_coroutine_function_refuses() -> None:
    async def guard(request: WorkflowRequest) -> bool:
        return True

    assert "is a coroutine function" in str(HookPrerequisites(guard).refusal(REQUEST))


@pytest.mark.parametrize("error", [ValueError("no plan"), SystemExit("no plan"), KeyboardInterrupt("no plan")])
def test_a_hook_that_raises_refuses(error: BaseException) -> None:
    def guard(request: WorkflowRequest) -> bool:
        raise error

    assert HookPrerequisites(guard).refusal(REQUEST) == (
        f"the prerequisites hook failed: {type(error).__name__}: no plan"
    )


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Unreadable(), "Unreadable: its text cannot be read"), (ValueError("a\ud800b"), "ValueError: a?b")],
)
def test_an_error_whose_text_cannot_be_read_or_stored_refuses_with_a_reason(error: Exception, reason: str) -> None:
    def guard(request: WorkflowRequest) -> bool:
        raise error

    assert HookPrerequisites(guard).refusal(REQUEST) == f"the prerequisites hook failed: {reason}"
    assert HookPrerequisites(lambda _: "no\udcff").refusal(REQUEST) == "no?"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module_of_test:guard", "ModuleNotFoundError: No module named 'no_such_module_of_test'"),
        ("guards_of_test:missing", "AttributeError: module 'guards_of_test' has no attribute 'missing'"),
        ("guards_of_test:number", "TypeError: guards_of_test:number is not a function"),
    ],
)
def test_a_hook_that_is_missing_refuses(module: Any, name: str, reason: str) -> None:
    module.number = 7
    assert HookPrerequisites(name).refusal(REQUEST) == f"the prerequisites hook failed: {reason}"


def test_a_hook_that_hangs_refuses_and_the_number_of_hanging_calls_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prerequisites, "_AT_A_TIME", 2)
    released = threading.Event()

    def guard(request: WorkflowRequest) -> bool:
        return released.wait()

    hanging = HookPrerequisites(guard, seconds=0.01)
    for _ in range(2):
        assert hanging.refusal(REQUEST) == "the prerequisites hook did not answer within 0.01 seconds"
    assert hanging.refusal(REQUEST) == "the prerequisites hook did not answer: 2 earlier calls have not returned"
    released.set()
    for thread in threading.enumerate():
        if thread.name == "chatstore-prerequisites":
            thread.join(10)
    assert HookPrerequisites(guard).refusal(REQUEST) is None


def test_the_limit_is_5_seconds() -> None:
    assert prerequisites.SECONDS == 5

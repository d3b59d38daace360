"""Asks the hook of an application whether a workflow may be started or become active."""

from __future__ import annotations

import importlib
import inspect
import threading
import time
from collections.abc import Callable

from chatstore_cli.domain.session_registry import PrerequisitesHook, WorkflowRequest

SECONDS = 5.0
"""The time limit of one call."""
_AT_A_TIME = 32
"""Calls that may run at once. A call that never returns keeps its thread, so their number is limited."""
_LONGEST_REASON = 500


class HookPrerequisites:
    """Prerequisites that a function of the application decides. Any answer except True refuses the request, with a reason.

    A function that is named as `module:function` is imported when it is called. Each call is made in a daemon thread.
    """

    def __init__(self, hook: str | PrerequisitesHook, *, seconds: float = SECONDS) -> None:
        self._hook = hook
        self._seconds = seconds
        self._slots = threading.BoundedSemaphore(_AT_A_TIME)

    def refusal(self, request: WorkflowRequest) -> str | None:
        """The reason to refuse the request; None if it is allowed."""
        deadline = time.monotonic() + self._seconds
        if not self._slots.acquire(timeout=self._seconds):
            return f"the prerequisites hook did not answer: {_AT_A_TIME} earlier calls have not returned"
        answers: list[str | None] = []
        thread = threading.Thread(
            target=self._ask, args=(request, answers), name="chatstore-prerequisites", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            self._slots.release()
            return f"the prerequisites hook was not called: {error}"
        thread.join(max(0.0, deadline - time.monotonic()))
        return answers[0] if answers else f"the prerequisites hook did not answer within {self._seconds:g} seconds"

    def _ask(self, request: WorkflowRequest, answers: list[str | None]) -> None:
        try:
            hook = _imported(self._hook) if isinstance(self._hook, str) else self._hook
            answers.append(_refusal_of(hook(request)))
        except BaseException as error:  # noqa: BLE001 - whatever the hook raises refuses, sys.exit too
            answers.append(_shortened(f"the prerequisites hook failed: {type(error).__name__}: {_text_of(error)}"))
        finally:
            self._slots.release()


def _refusal_of(answer: object) -> str | None:
    if answer is True:
        return None
    if isinstance(answer, str) and answer.strip():
        return _shortened(answer.strip())
    if inspect.iscoroutine(answer):
        answer.close()
        return "the prerequisites hook is a coroutine function; a plain function is required"
    return f"the prerequisites hook returned a value of type {type(answer).__name__}, not True or a reason"


def _imported(name: str) -> Callable[[WorkflowRequest], object]:
    module, _, function = name.partition(":")
    hook = getattr(importlib.import_module(module), function)
    if not callable(hook):
        raise TypeError(f"{name} is not a function")
    return hook  # type: ignore[no-any-return]  # its answer is checked


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the text of an error is code of the application too
        return "its text cannot be read"


def _shortened(reason: str) -> str:
    reason = reason.encode("utf-8", "replace").decode()  # a lone surrogate could not be stored in the history
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"

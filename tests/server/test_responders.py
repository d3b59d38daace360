"""The responders: a function of the application in each of its forms, and whatever it can do wrong."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from types import SimpleNamespace

import pytest

from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.responding import Event, Mode, Question, TurnUsage
from chatstore_cli.domain.usage import Usage
from chatstore_cli.server.turns.answers import MOST_TEXT, NoAnswer, whole_answer
from chatstore_cli.server.turns.responders.echo import EchoResponder
from chatstore_cli.server.turns.responders.hook import HookResponder

QUESTION = Question(Mode.CHAT, "s", "hello")
USAGE = {"type": "usage", "prompt_tokens": 3, "completion_tokens": 2, "cost": 0.5, "model": "m", "turn_id": "t"}


def _ask(function, seconds=30.0):
    """The answer of a function, and the parts that were reported as they came."""
    responder = HookResponder("module:function", function)
    reported = []
    return asyncio.run(whole_answer(responder, QUESTION, seconds, reported.append)), reported


def _reason(function, seconds=30.0):
    with pytest.raises(NoAnswer) as caught:
        _ask(function, seconds)
    return caught.value.message


def _text(question):
    return f"to {question.text}"


async def _coroutine(question):
    return f"to {question.text}"


def _generator(question):
    yield "to "
    yield question.text


async def _async_generator(question):
    yield "to "
    await asyncio.sleep(0)
    yield question.text


class _Callable:
    async def __call__(self, question):
        return f"to {question.text}"


FORMS = [
    _text,
    _coroutine,
    _generator,
    _async_generator,
    _Callable(),
    lambda question: ["to ", question.text],
    lambda question: iter(["to ", question.text]),
]


@pytest.mark.parametrize("function", FORMS)
def test_each_form_of_a_function_answers(function):
    answer, reported = _ask(function)
    assert (answer.text, reported) == ("to hello", [])


def test_a_cost_may_be_a_text_with_its_exact_digits():
    def function(question):
        yield "text"
        yield USAGE | {"cost": "0.0001"}

    assert _ask(function)[1][-1].usage.cost == Decimal("0.0001")


def test_events_and_usage_are_reported_as_they_come():
    def function(question):
        yield {"type": "tool_call", "name": "search", "bad": float("nan"), "set": {1}, (1, 2): object}
        yield "text"
        yield USAGE
        yield TurnUsage(Usage(1, 1), "u")
        yield Event("done", {})

    answer, reported = _ask(function)
    call, used, other, done = reported
    assert (call.type, call.data["name"], call.data["bad"]) == ("tool_call", "search", None)
    assert all(isinstance(key, str) for key in call.data)
    assert used == TurnUsage(Usage(3, 2, 5, Decimal("0.5")), "t", "m")
    assert other.usage.total_tokens == 2
    assert done == Event("done", {})
    assert answer.text == "text"


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt_tokens": -1},
        {"prompt_tokens": "many"},
        {"completion_tokens": 10**40},
        {"prompt_tokens": float("nan")},
        {"prompt_tokens": True},
        {"cost": "NaN"},
        {"cost": "-0.1"},
        {"cost": "free"},
        {"cost": Decimal("Infinity")},
        {"cost": -1},
        {"turn_id": "x" * 501},
        {"turn_id": "a\0b"},
        {"turn_id": 5},
    ],
)
def test_usage_that_no_ledger_takes_is_left_out_and_the_answer_stays(wrong, caplog):
    answer, reported = _ask(lambda question: [{**USAGE, **wrong}, "text"])
    assert (answer.text, answer.usage, reported) == ("text", [], [])
    assert "usage is not counted" in caplog.text


@pytest.mark.parametrize("returned", [None, "", [], iter(()), ["", ""]])
def test_a_function_that_yields_nothing_has_not_answered(returned):
    assert _reason(lambda question: returned) == "The responder did not answer: it yielded nothing."


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        (5, "int"),
        (b"bytes", "bytes"),
        (object(), "object"),
        ([5], "int"),
        ([None], "NoneType"),
        ([b"bytes"], "bytes"),
        ({}, "dict"),
        ({"type": 5}, "dict"),
        ([["text"]], "list"),
    ],
)
def test_other_types_are_named(returned, kind):
    assert f"a {kind}; a text, or a dictionary with a type, is expected" in _reason(lambda question: returned)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(),
        asyncio.CancelledError(),
        TimeoutError(),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("form", ["plain", "coroutine", "generator", "async generator"])
def test_nothing_that_a_function_raises_ends_the_caller(error, form):
    async def coroutine(question):
        raise error

    def plain(question):
        raise error

    def generator(question):
        yield "begun"
        raise error

    async def async_generator(question):
        yield "begun"
        raise error

    forms = {"plain": plain, "coroutine": coroutine, "generator": generator, "async generator": async_generator}
    reason = _reason(forms[form])
    assert reason.startswith("The responder did not answer: ")
    assert "secret" not in reason


def test_a_function_that_never_returns_is_given_up():
    proceed = threading.Event()
    try:
        assert "more than 0.05 seconds" in _reason(lambda question: proceed.wait(30) and "late", seconds=0.05)
    finally:
        proceed.set()


def test_a_coroutine_that_ignores_its_cancellation_is_not_waited_for():
    async def stubborn(question):
        for _ in range(2):  # the second time by the end of the event loop
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                continue
        return "late"

    async def ask():
        with pytest.raises(NoAnswer):
            await whole_answer(HookResponder("m:f", stubborn), QUESTION, 0.05, lambda part: None)

    asyncio.run(asyncio.wait_for(ask(), 30))


@pytest.mark.parametrize("part", ["x" * 100_000, {"type": "event"}, ""], ids=["text", "events", "nothing"])
def test_a_function_that_never_ends_is_stopped(part):
    async def endless(question):
        while True:
            yield part

    reason = _reason(endless, seconds=0.3 if part == "" else 60)
    assert "more than" in reason
    assert MOST_TEXT > 100_000


def test_an_async_generator_is_closed_when_the_answer_is_given_up():
    closed = []

    async def function(question):
        try:
            yield "begun"
            await asyncio.sleep(3_600)
        finally:
            closed.append(True)

    assert "more than" in _reason(function, seconds=0.05)
    assert closed == [True]


def test_halves_of_a_character_are_put_together_or_replaced():
    answer, _ = _ask(lambda question: ["\ud83d", "\ude00 ", "\ud800"])
    assert answer.text == "\U0001f600 \ufffd"


def test_echo_says_plainly_that_it_is_one():
    answer = asyncio.run(whole_answer(EchoResponder(), QUESTION, 30, lambda part: None))
    assert answer.text == "Echo (no responder is configured): hello"


@pytest.mark.parametrize(
    "name", ["missing_module:f", "json:missing", "json", ":", "json:", "json:__doc__", "json:__name__"]
)
def test_a_function_that_cannot_be_used_is_a_wrong_configuration(name):
    with pytest.raises(BadConfig) as caught:
        HookResponder.named(name)
    assert "chatstore.server.responder" in caught.value.message


def test_a_function_is_found_by_its_name(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "an_application", SimpleNamespace(reply=_text))
    responder = HookResponder.named("an_application:reply")
    assert asyncio.run(whole_answer(responder, QUESTION, 30, lambda part: None)).text == "to hello"

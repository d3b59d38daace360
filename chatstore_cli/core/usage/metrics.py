"""The usage of one turn at a time, as applications report it: each turn is a row of the usage ledger.

Other reports are running totals of a client. A turn reports only its own usage, so turns add up. Within its session, a turn
is identified by its `turn_id` alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from decimal import Context, Decimal

from chatstore_cli.core.usage.recorder import UsageRecorder, row_id
from chatstore_cli.core.usage.reported import shown_name, token_count, valid_cost
from chatstore_cli.domain.errors import BadValue, Conflict, NotFound, OtherTenant
from chatstore_cli.domain.times import Clock, read_instant
from chatstore_cli.domain.usage_ledger import LEDGER_LAYOUTS, MOST_TOKENS, UsageLedger, UsageSnapshot

GENERAL = LEDGER_LAYOUTS[1]
MAX_TURN_ID = 500
"""The longest turn id, in bytes of UTF-8."""

_AS_STORED = Context(prec=34)
"""The digits of a stored cost."""

_RUN = 1
"""The run of every turn: turns belong to no run of agents, and 0 is the run of the opening balance."""


class SessionMetrics:
    """Stores the usage of turns in the ledger, and raises the counters of their sessions. May be used from several threads.

    `ledger_of` opens the ledger of a layout. It is called once for each layout that is used, and raises an error for a
    layout that the database does not have.
    """

    def __init__(self, ledger_of: Callable[[str], UsageLedger], clock: Clock) -> None:
        self._ledger_of, self._clock = ledger_of, clock
        self._ledgers: dict[str, tuple[UsageLedger, UsageRecorder]] = {}

    def update_session_metrics(
        self,
        chat_id: str,
        user_id: str | None,
        workflow_name: str | None,
        prompt_tokens: int,
        completion_tokens: int,
        cost_usd: float | Decimal | None,
        app_id: str | None = None,
        *,
        agent_name: str | None = None,
        event_ts: datetime | str | None = None,
        duration_sec: float = 0.0,
        session_type: str = "workflow",
        turn_id: str | None = None,
        model_name: str | None = None,
        cached_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Count the usage of one turn of a session, in the usage ledger and in the session's counters.

        With `turn_id` (1 to 500 bytes, unique within the session) a turn counts once, however often and from however many
        processes it is reported. Without it each call counts. `cost_usd` None is unknown; in a general chat so is a cost
        of 0 beside tokens. `event_ts` is the time of the turn (now by default; without a zone it is in UTC), `agent_name`
        the agent that spoke. `model_name` is the model, from which `chatstore usage --cost calculate` finds the price.
        `cached_tokens` are a part of the prompt's tokens and `reasoning_tokens` of the completion's, None if unknown:
        Anthropic reports prompts without their cached tokens, so add these first. `session_type` is "workflow" or "general". With `app_id`, the session must belong to that
        tenant. Tenant and user of the session count, and `user_id` and `workflow_name` only for a session that has none.

        Raises BadValue for an invalid argument, NotFound for a missing session and a general chat of another tenant,
        OtherTenant for a workflow session of another tenant, Conflict if the turn is already stored with other numbers, and
        Unreachable. After Unreachable the turn may be stored: report it again with the same `turn_id`.
        """
        if not isinstance(session_type, str) or session_type not in LEDGER_LAYOUTS:
            raise BadValue(name="session_type", value=_shown(session_type), expected='"workflow" or "general"')
        chat_id = _checked_text("chat_id", chat_id, 1_000)
        counts = [_tokens("prompt_tokens", prompt_tokens), _tokens("completion_tokens", completion_tokens)]
        cached = _part("cached_tokens", cached_tokens, "prompt_tokens", counts[0])
        reasoning = _part("reasoning_tokens", reasoning_tokens, "completion_tokens", counts[1])
        cost = _cost(cost_usd)
        is_general = session_type == GENERAL
        if is_general and any(counts) and not cost:
            cost = None
        seconds = _seconds(duration_sec)
        at = self._clock() if event_ts is None else _instant(event_ts)
        turn = uuid.uuid4().hex if turn_id is None else _checked_text("turn_id", turn_id, MAX_TURN_ID)
        ledger, recorder = self._opened(session_type)
        session = ledger.session(chat_id)
        if session is None:
            raise _missing(chat_id)
        if app_id is not None and session.tenant_id != _checked_text("app_id", app_id, 1_000):
            raise _missing(chat_id) if is_general else OtherTenant(chat_id=chat_id, tenant_id=app_id)
        snapshot = UsageSnapshot(
            event_id=None,
            chat_id=session.session_id,
            run=_RUN,
            tenant_id=session.tenant_id,
            user_id=session.user_id or shown_name(user_id),
            workflow=None if is_general else session.workflow or shown_name(workflow_name),
            agent=shown_name(agent_name),
            model=shown_name(model_name),
            prompt_tokens=counts[0],
            completion_tokens=counts[1],
            total_tokens=sum(counts),
            at=at,
            cached_tokens=cached,
            cost=cost,
            turn_id=turn,
            seconds=seconds,
            reasoning_tokens=reasoning,
        )
        recorded = recorder.record_turn(snapshot)
        if recorded.without_session:
            recorder.discard([snapshot])
            raise _missing(chat_id)
        if recorded.already_stored:
            stored = ledger.row(row_id(snapshot, session_type))
            if stored is not None and _differ(stored, snapshot):
                raise Conflict(
                    what=f"Turn {turn!r} of session {chat_id!r} is already stored with other usage.",
                    hint="Nothing was counted. A turn_id identifies one turn of its session: use another one.",
                )

    def _opened(self, layout: str) -> tuple[UsageLedger, UsageRecorder]:
        if layout not in self._ledgers:
            ledger = self._ledger_of(layout)
            self._ledgers[layout] = (ledger, UsageRecorder(ledger))
        return self._ledgers[layout]


def _missing(chat_id: str) -> NotFound:
    return NotFound(kind_of_thing="session", name=chat_id, where="", hint="Its usage was not counted.")


def _differ(stored: UsageSnapshot, turn: UsageSnapshot) -> bool:
    """Whether a repeated report of a turn has other values. Its time may differ.

    A report that lacks a model or a part of the tokens does not differ: older versions stored turns without them.
    """
    one, other = (
        (each.agent, each.prompt_tokens, each.completion_tokens, _stored_cost(each.cost)) for each in (stored, turn)
    )
    return one != other or any(
        None not in pair and pair[0] != pair[1]
        for pair in (
            (stored.model, turn.model),
            (stored.cached_tokens, turn.cached_tokens),
            (stored.reasoning_tokens, turn.reasoning_tokens),
        )
    )


def _stored_cost(cost: Decimal | None) -> Decimal | None:
    return None if cost is None else _AS_STORED.plus(cost).normalize()


def _checked_text(name: str, value: object, most_bytes: int) -> str:
    """Text that can be stored, is not empty and has at most so many bytes."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadValue(name=name, value=_shown(value), expected="text that is not empty and has no NUL")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise BadValue(name=name, value=_shown(value), expected="text that can be stored") from error
    if size > most_bytes:
        raise BadValue(name=name, value=_shown(value), expected=f"text of at most {most_bytes:,} bytes")
    return str.__str__(value)


def _tokens(name: str, value: object) -> int:
    expected = f"a whole number of tokens from 0 to {MOST_TOKENS // 2:,}"
    try:
        count = token_count(value)
    except ValueError as error:
        raise BadValue(name=name, value=_shown(value), expected=expected) from error
    if count is None or count > MOST_TOKENS // 2:  # the total of two must be valid, too
        raise BadValue(name=name, value=_shown(value), expected=expected)
    return count


def _part(name: str, value: object, whole: str, most: int) -> int | None:
    """A part of the tokens `whole`; None if it is unknown."""
    try:
        count = token_count(value)
    except ValueError:
        count = most + 1
    if count is not None and count > most:
        expected = f"None or a whole number of tokens, at most the {whole} ({most:,})"
        raise BadValue(name=name, value=_shown(value), expected=expected)
    return count


def _cost(value: object) -> Decimal | None:
    try:
        return valid_cost(value)
    except ValueError as error:
        expected = f"None or an amount from 0 to {MOST_TOKENS:,}"
        raise BadValue(name="cost_usd", value=_shown(value), expected=expected) from error


def _seconds(value: object) -> float | None:
    """A duration in seconds. 0 means that it is unknown, and returns None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return float(value) or None
    raise BadValue(name="duration_sec", value=_shown(value), expected="a number of seconds, not negative")


def _instant(value: object) -> datetime:
    instant = read_instant(value)
    if instant is None:
        raise BadValue(name="event_ts", value=_shown(value), expected="a datetime, or a time in ISO 8601")
    return instant


def _shown(value: object) -> object:
    """A value as an error quotes it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()[:60]
    return value if value is None or isinstance(value, bool | int | float) else f"<{type(value).__name__}>"

"""Corrects one quarantined line: the edited line is stored in its place, exactly once, also if a process is killed meanwhile.

The edited line is remembered before it is stored. From then on it takes the place of the journal's line, under the same
`_id`, so a retry, a flush and the same edit all make the same message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chatstore_cli.core.flush.quarantine_retry import entry_of, entry_of_edit
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.core.flush.storing import Storer, StoringRules
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import Conflict, NotFound, Unreachable, WrongUse
from chatstore_cli.domain.journal import Entry, JournalRecord
from chatstore_cli.domain.message_store import MessageStore, QuarantinePort
from chatstore_cli.domain.quarantine import EditResult, NumberedLine, QuarantinedLine, Resolution

_LARGEST_EDIT = 256 * 1024 * 1024
_MOST_LISTED = 20
_TEXT_FIELDS = frozenset({"session_id", "role", "text", "created_at", "message_id"})
_USE_ANOTHER_WAY = "Correct the whole line with --from FILE, or in an editor."


def with_values(raw: bytes, values: Mapping[str, str]) -> bytes:
    """The line with other values of some fields. Raises WrongUse if the line is not a JSON object.

    The fields that a message has are text. The value of any other field is JSON if it can be read as JSON, else text.
    """
    try:
        fields: Any = json.loads(raw.decode("utf-8-sig"))  # which keeps integers of every length
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise WrongUse(what="--set: the line is not a JSON object.", hint=_USE_ANOTHER_WAY)
    for name, value in values.items():
        fields[name] = value if name in _TEXT_FIELDS else _json_or_text(value)
    return json.dumps(fields).encode()


def find_line(lines: Iterable[NumberedLine], name: str) -> NumberedLine:
    """The quarantined line with this number or ID. Raises NotFound."""
    named = [line for line in lines if name in (line.line.quarantine_id, str(line.number))]
    if not named:
        hint = "The numbers change when a line leaves the quarantine. See chatstore cache quarantine list."
        raise NotFound(kind_of_thing="quarantined line", name=name, where="", hint=hint)
    return max(named, key=lambda line: line.line.quarantine_id == name)


def bounded(pieces: Iterable[bytes], name: str) -> bytes:
    """The pieces in one. Raises WrongUse if they are too long for a line that can be stored."""
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > _LARGEST_EDIT:
            what = f"{name}: the line is too long to edit. A document has at most 16 MiB."
            raise WrongUse(what=what, hint="Give a shorter line with --from FILE.")
    return bytes(content)


def reject_unfinished_edits(lines: Iterable[NumberedLine]) -> None:
    """Raise Conflict if an edit of one of the lines was interrupted: its edited line may be stored."""
    for line in lines:
        if line.line.resolution is not None:
            what = f"An edit of the line {line.number} ({line.line.quarantine_id}) was interrupted."
            raise Conflict(what=what, hint="Run chatstore cache quarantine retry first, which finishes it.")


def describe_drop(lines: Sequence[NumberedLine]) -> str:
    """The plan of dropping lines."""
    count = "1 line" if len(lines) == 1 else f"{len(lines):,} lines"
    plan = [f"{count} would be dropped: never stored, and not quarantined again by a later flush."]
    for numbered in lines[:_MOST_LISTED]:
        line = numbered.line
        plan.append(f"  {numbered.number}  {line.source}, line {line.line:,}: {line.reason}".replace("\n", "\\n"))
    if len(lines) > _MOST_LISTED:
        plan.append(f"  … and {len(lines) - _MOST_LISTED:,} more")
    return "\n".join(plan)


class LineEditor:
    """Stores edited lines in place of quarantined lines of one quarantine."""

    def __init__(
        self,
        store: MessageStore,
        quarantine: QuarantinePort,
        read: Callable[[bytes], JournalRecord],
        rules: StoringRules,
        retry_policy: RetryPolicy,
    ) -> None:
        """`read` reads a journal line."""
        self._quarantine = quarantine
        self._read = read
        self._storer = Storer(store, rules, retry_policy)

    def edit(self, quarantine_id: str, edited: bytes) -> EditResult:
        """Store the edited line and close the entry, or leave the entry as it is if it cannot be stored.

        Raises NotFound if the line has left the quarantine meanwhile. Raises Conflict if another edit of the line, which
        was interrupted, turns out to be stored. Raises Unreachable if it is not known whether it is stored: then the edit
        is kept, and a retry finishes it.
        """
        line = next((line for line in self._quarantine.lines() if line.quarantine_id == quarantine_id), None)
        if line is None:
            raise NotFound(kind_of_thing="quarantined line", name=quarantine_id, where="")
        edited = edited.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
        if line.resolution is not None and line.resolution.edited != edited:
            self._settle_earlier_edit(line, line.resolution)
        entry, flaw = entry_of_edit(line, edited, self._read)
        if entry is None:
            return EditResult(line.quarantine_id, "quarantined", flaw)
        resolution = Resolution(
            line.quarantine_id,
            line.source,
            line.offset,
            line.identity is not None,
            edited,
            entry.identity,
        )
        if edited != line.raw:  # else it is a retry
            self._quarantine.begin_edit(resolution)
        return self._store(line, entry)

    def _settle_earlier_edit(self, line: QuarantinedLine, earlier: Resolution) -> None:
        entry = entry_of(line, self._read)
        if entry is None:
            self._quarantine.withdraw_edits({earlier.quarantine_id})
        elif self._store(line, entry).result != "quarantined":
            what = "An earlier edit of this line was interrupted and is stored now, so this edit is not."
            raise Conflict(what=what, hint="The line has left the quarantine.")

    def _store(self, line: QuarantinedLine, entry: Entry) -> EditResult:
        reasons: list[str] = []
        state = SourceState(refuse=lambda _, reason: reasons.append(reason))
        try:
            stored = self._storer.store([entry], {entry.source: state})
        except Unreachable as error:
            error.hint = (
                f"{error.hint or ''} The edit is kept and may already be stored. To finish it, run the command again or "
                "chatstore cache quarantine retry."
            ).strip()
            raise
        if reasons:
            self._quarantine.withdraw_edits({line.quarantine_id})
            return EditResult(line.quarantine_id, "quarantined", reasons[0])
        self._quarantine.remove({line.quarantine_id})
        return EditResult(line.quarantine_id, "stored" if stored else "deleted" if state.covered else "already_stored")


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value

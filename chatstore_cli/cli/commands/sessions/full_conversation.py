"""`chatstore sessions show --full`: a whole conversation, written while it is read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from chatstore_cli.cli.file_names import NAMES_OF_OUTPUTS, check_file_name, output_named_by
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.cli.redaction import redactor_if
from chatstore_cli.core.labels.labelled import labelled
from chatstore_cli.core.readers import find_session, notes_on
from chatstore_cli.core.sessions.conversation import Conversation
from chatstore_cli.domain.conversation import ToolDisplay
from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.render.conversation.formats import CONVERSATION_WRITERS
from chatstore_cli.render.formats import set_encoding, write
from chatstore_cli.render.listing import Listing, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.rows.sessions import WHOLE_MESSAGE_COLUMNS, message_row, session_row
from chatstore_cli.wiring.labels import shown_labels
from chatstore_cli.wiring.system import new_file

if TYPE_CHECKING:
    from chatstore_cli.core.redaction import Redactor


class FullOptions(NamedTuple):
    """The options of --full. `tools` is None if it is not given, `last` is None for the whole conversation."""

    tools: ToolDisplay | None = None
    last: int | None = None
    redact: bool = False
    to: str | None = None
    force: bool = False


def show_full(invocation: Invocation, session_id: str, layout: str | None, options: FullOptions) -> None:
    """Write the conversation to stdout, the pager or a file, and the notices about it to stderr."""
    chosen = invocation.options.output
    output = chosen or _format_of(options.to)
    if options.tools is not None and output not in CONVERSATION_WRITERS:
        what = f"--tools has no effect on -o {output}, which has whole messages."
        raise WrongUse(what=what, hint="Remove --tools, or use -o table, md or html.")
    if options.to is not None:
        check_file_name(
            "--to",
            options.to,
            NAMES_OF_OUTPUTS[output],
            is_chosen=chosen is not None,
            say=invocation.say,
            hint="Choose the format with -o, or with a name that ends with .txt, .md, .html, .json, .jsonl, .csv or .yaml.",
        )
    reader, session = find_session(readable_readers(invocation, layout), session_id)
    labels = shown_labels(invocation.stores, layout)
    [session] = labelled([session], labels)
    notes = [*notes_on(session), *(labels.remarks if labels is not None else ())]
    messages: Iterable[Message] = reader.messages(session_id, MessageSelection(last=options.last))
    redactor = redactor_if(options.redact)
    if redactor is not None:
        session, messages = redactor.session(session), map(redactor.message, messages)
    conversation = Conversation(session, messages, options.tools or ToolDisplay.FOLDED)
    with _destination(invocation, options) as (stream, terminal):
        if (writer := CONVERSATION_WRITERS.get(output)) is not None:
            writer(session, conversation.turns(), conversation.tools, stream, terminal)
        else:
            write(_message_listing(session, conversation, redactor), output, stream, terminal)
    if options.to is not None:
        written = quantity(conversation.messages, "message")
        invocation.say(f"Wrote {written} of session {session_id} ({session.layout}) to {options.to}.")
    if not conversation.messages:
        invocation.say("The session has no messages.")
    if conversation.hidden:
        invocation.say(f"Tool calls and results that are not shown: {conversation.hidden:,} (--tools none).")
    for note in [*notes, *([redactor.notice()] if redactor is not None else [])]:
        invocation.say(note)


def _format_of(path: str | None) -> OutputFormat:
    """The format that the end of a file name selects, such as `.json`; a table for other names, and without a file."""
    return OutputFormat.TABLE if path is None else output_named_by(path) or OutputFormat.TABLE


def _message_listing(session: Session, conversation: Conversation, redactor: Redactor | None) -> Listing:
    """The whole messages as rows, with the session and what was redacted beside them."""

    def beside() -> dict[str, Any]:
        redacted = {} if redactor is None else {"redacted": redactor.counts}
        return {"session": session_row(session), **redacted}

    rows = map(message_row, conversation.counted())
    return Listing(WHOLE_MESSAGE_COLUMNS, rows, streamed=True, beside_after=beside)


@contextmanager
def _destination(invocation: Invocation, options: FullOptions) -> Iterator[tuple[TextIO, Terminal]]:
    """The stream to write to, and its abilities: a new file, the pager or stdout."""
    if options.to is None:
        terminal = invocation.terminal(is_terminal=sys.stdout.isatty())
        with invocation.results.paged() as stream:
            set_encoding(stream, terminal)
            yield stream, terminal
            stream.flush()
        return
    terminal = invocation.terminal(is_terminal=False)
    with new_file(options.to, force=options.force, private=True) as file:
        text = TextIOWrapper(file, "utf-8", "backslashreplace", newline="\n")
        yield text, terminal
        text.flush()
        text.detach()

"""`chatstore threads edit`: replaces the content of a message, and keeps the former one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.editor import edit_in_editor, require_terminal
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.message_input import decoded, read_content, read_object
from chatstore_cli.cli.thread_options import (
    ContentOption,
    FileOption,
    OwnerTenantOption,
    OwnerUserOption,
    TextOption,
    owner_of,
)
from chatstore_cli.domain.errors import ExitCode, NotFound
from chatstore_cli.domain.threads.spoken import spoken
from chatstore_cli.render.listing import Record

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.models import ChatMessage

app = single_command()


@command(
    app,
    "edit",
    examples=[
        "chatstore threads edit 8b1f02c4",
        "chatstore threads edit 8b1f02c4 --text 'The ferry leaves at 07:40.'",
        "chatstore threads edit 8b1f02c4 --file answer.txt --user ana",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def edit(
    context: typer.Context,
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="The exact id of the message.")],
    text: TextOption = None,
    file: FileOption = None,
    content: ContentOption = None,
    metadata: Annotated[
        str | None,
        typer.Option(
            "--metadata", metavar="JSON", help="Replace the metadata with this JSON object (default: keep it)."
        ),
    ] = None,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
) -> None:
    """Replace the text of a message. The newest 20 former contents are kept in `edits`.

    Without --text, --file, --content and --metadata, the text opens in the editor that VISUAL or EDITOR names. A content
    that is not a text opens as JSON. The role, the sender and the sequence of the message do not change. An edit that
    changes nothing is not stored.
    """
    from chatstore_cli.render.rows.threads import THREAD_MESSAGE_FIELDS, changed_message_row
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    new = read_content(text, file, content)
    new_metadata = None if metadata is None else read_object(metadata, "--metadata")
    if by_hand := new is None and new_metadata is None:
        require_terminal("Give --text, --file or --content.", no_input=invocation.options.no_input)
    invocation.will_write()
    repository, owner = conversations(invocation.stores), owner_of(user, tenant)
    message = repository.get_message(message_id, owner=owner)
    if message is None:
        raise _not_found(message_id)
    draft = _Draft(message) if by_hand else None
    try:
        changed = draft.content() if draft else _changed(message, new, new_metadata)
        stored = repository.edit_message(message_id, changed, owner=owner)
        if stored is None:
            raise _not_found(message_id)
        if draft:
            draft.path.unlink()
    finally:
        if draft and draft.path.exists():
            invocation.say(f"The edited text is kept in {draft.path}.")
    invocation.emit(Record(THREAD_MESSAGE_FIELDS, changed_message_row(stored)))
    if stored == message:
        invocation.say("The message was not changed.")


class _Draft:
    """The content of a message in an editor. `path` is the private file, which the caller removes."""

    def __init__(self, message: ChatMessage) -> None:
        self._message = message
        self._is_text = isinstance(spoken(message.content).content, str)
        present = spoken(message.content).content
        shown = present if self._is_text else json.dumps(present, indent=2, ensure_ascii=False)
        self.path: Path = edit_in_editor([f"{shown}\n".encode()], suffix=".txt" if self._is_text else ".json")

    def content(self) -> dict[str, Any]:
        """The edited content. Raises WrongUse if it cannot be read."""
        edited = decoded(self.path.read_bytes(), "The edited text")
        return _changed(self._message, edited if self._is_text else read_object(edited, "The edited content"), None)


def _changed(
    message: ChatMessage, new: str | Mapping[str, Any] | None, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The content of the message after the edit: the given parts are new, the others stay."""
    said = spoken(message.content).content if new is None else new
    whole = {"type": "text", "text": said} if isinstance(said, str) else dict(said)
    if metadata is not None:
        return {**whole, "metadata": dict(metadata)}
    if "metadata" in whole or "metadata" not in message.content:
        return whole
    return {**whole, "metadata": message.content["metadata"]}


def _not_found(message_id: str) -> NotFound:
    return NotFound(
        kind_of_thing="message",
        name=message_id,
        where="",
        hint="The whole id is required. chatstore threads messages prints the ids.",
    )

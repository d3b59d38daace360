"""Reads one thread with its first and last messages and their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import ThreadNotFound
from chatstore_cli.domain.threads.results import ThreadView

if TYPE_CHECKING:
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.threads.models import ChatThread
    from chatstore_cli.domain.threads.ports import ConversationRepository, Owner

_OTHER_TYPE = (
    "A thread has this id, but not as a text, because another program stored it. "
    "Use chatstore sessions show, resume or sessions delete."
)


def view_thread(
    repository: ConversationRepository,
    readers: Sequence[SessionReader],
    thread_id: str,
    owner: Owner,
    *,
    first: int,
    last: int,
) -> ThreadView:
    """The thread and its messages at both ends. Raises ThreadNotFound."""
    thread, session = find_counted(repository, readers, thread_id, owner)
    first_messages = repository.get_messages(thread_id, limit=first, owner=owner)
    last_messages = repository.get_messages(thread_id, limit=last, newest=True, owner=owner)
    shown = {message.id for message in first_messages}
    rest = [message for message in last_messages if message.id not in shown]
    return ThreadView(thread, session.message_count, first_messages, rest)


def find_counted(
    repository: ConversationRepository, readers: Sequence[SessionReader], thread_id: str, owner: Owner
) -> tuple[ChatThread, Session]:
    """The thread, and its session, which has the number of messages. Raises ThreadNotFound."""
    thread = repository.get_thread(thread_id, owner=owner, with_messages=False)
    session = next((found for reader in readers if (found := reader.find(thread_id)) is not None), None)
    if thread is None or session is None:
        is_listed = session is not None and _belongs_to(session, owner)
        raise ThreadNotFound(thread_id=thread_id, hint=_OTHER_TYPE if is_listed else None)
    return thread, session


def _belongs_to(session: Session, owner: Owner) -> bool:
    return owner.user_id in (None, session.user_id) and owner.org_id in (None, session.tenant_id)

"""Creates, lists and reads general chats, and appends messages to them: each once, in order."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from chatstore_cli.core.general.checks import (
    MOST_LISTED,
    MOST_MESSAGES,
    checked_metadata,
    checked_number,
    new_message,
)
from chatstore_cli.core.general.ids import checked_owner, checked_part, general_chat_id, label_of, may_belong_to
from chatstore_cli.core.known_sessions import KnownSessions
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.core.segments.keeper import SegmentKeeper, make_room_for
from chatstore_cli.core.warn_once import WarnOnce
from chatstore_cli.domain.errors import Conflict, InvalidGeneralChat, NotFound
from chatstore_cli.domain.general import (
    AppendedMessage,
    ChatNumberSource,
    GeneralChat,
    GeneralChatState,
    GeneralChatStore,
    KeptMessage,
    TranscriptPart,
)
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.domain.storable_values import Alterations
from chatstore_cli.domain.times import Clock, utc_now

_RUNNING = 0


class GeneralChats:
    """The general chats of a database. May be used from several threads.

    A chat of another tenant, and of another user if the caller names one, does not exist for the caller: it raises the
    same NotFound as a missing one.
    """

    def __init__(
        self,
        store: GeneralChatStore,
        numbers: ChatNumberSource,
        keeper: SegmentKeeper | None = None,
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Clock = utc_now,
    ) -> None:
        """`warn` is called once for each kind of value that had to be altered in a chat."""
        self._store, self._numbers, self._keeper = store, numbers, keeper
        self._warn, self._clock = WarnOnce(warn), clock
        self._known: KnownSessions[GeneralChatState] = KnownSessions()

    def create_general_chat_session(self, *, app_id: str, user_id: str) -> dict[str, Any]:
        """Create the next chat of a user: `{"chat_id", "label", "sequence"}`. Its number has never been used before.

        Raises InvalidGeneralChat (a ValueError), Unreachable, and Conflict if no number is free.
        """
        tenant, user = checked_owner(app_id, user_id)

        def attempt() -> GeneralChat | None:
            chat = self._new_chat(tenant, user)
            if self._store.create(chat):
                return chat
            if deleted := self._store.highest_deleted(tenant, user):
                # The counter was lost, for example in a restore. The numbers of all deleted chats are skipped at once.
                self._numbers.raise_to(tenant, user, deleted)
            return None

        def failure() -> Conflict:
            what = f"Each new id of a general chat of user {user!r} was taken already."
            return Conflict(what=what, hint="Try again. If it recurs, run: chatstore verify.")

        chat = attempt_until_done(attempt, failure)
        return {"chat_id": chat.chat_id, "label": chat.label, "sequence": chat.sequence}

    def _new_chat(self, tenant: str, user: str) -> GeneralChat:
        number = self._numbers.next_number(tenant, user)
        now = self._clock()
        return GeneralChat(
            general_chat_id(tenant, user, number), label_of(number), number, tenant, user, _RUNNING, now, now, 0
        )

    def append_general_message(
        self,
        *,
        general_chat_id: str,
        app_id: str,
        role: str,
        content: str,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        event_id: str | None = None,
    ) -> dict[str, Any]:
        """Append a message to a chat; returns the stored message. See `keep_message`."""
        return self.keep_message(
            general_chat_id=general_chat_id,
            app_id=app_id,
            role=role,
            content=content,
            user_id=user_id,
            metadata=metadata,
            event_id=event_id,
        ).message

    def keep_message(
        self,
        *,
        general_chat_id: str,
        app_id: str,
        role: str,
        content: str,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        event_id: str | None = None,
    ) -> KeptMessage:
        """Append a message to a chat, unless it is stored already.

        A repeated call with the same `event_id` stores nothing and returns the message that is stored. See
        `core/general/checks.py: new_message` for roles, agent names and metadata. Raises InvalidGeneralChat; NotFound;
        Conflict if the chat was deleted on purpose; DocumentRefused for a message over 16 MiB; Unreachable, after which
        a call with an `event_id` can be repeated.
        """
        chat_id, tenant = _checked_chat_id(general_chat_id), checked_part(app_id, "app_id")
        user = None if user_id is None else checked_part(user_id, "user_id")
        given = checked_metadata(metadata)
        identity = f"general_{uuid4()}" if event_id is None else checked_part(event_id, "event_id")
        alterations = Alterations()

        def attempt() -> KeptMessage | None:
            state = self._opened(chat_id, tenant, user)
            message = new_message(
                state.chat, identity,
                role=role, content=content, user_id=user, metadata=given, alterations=alterations,
            )  # fmt: skip
            result = self._store.append(state, message, self._clock())
            if isinstance(result, AppendedMessage):
                return KeptMessage(self._appended(chat_id, result), is_new=True)
            self._known.forget(chat_id)
            if isinstance(result, DocumentFull):
                make_room_for(self._keeper, chat_id, identity, result)
            stored = self._store.stored_message(self._opened(chat_id, tenant, user), identity)
            return None if stored is None else KeptMessage(stored, is_new=False)

        with self._known.lock(chat_id):
            kept = self._known.until_done(chat_id, attempt)
        for kind in alterations.kinds():
            self._warn(f"Session {chat_id!r}: a message has {kind}.")
        return kept

    def _appended(self, chat_id: str, appended: AppendedMessage) -> dict[str, Any]:
        self._known.remember(chat_id, appended.state)
        keeper = self._keeper
        if keeper is not None and keeper.after_append(chat_id, appended.size_bytes) is not None:
            self._known.forget(chat_id)
        return appended.message

    def list_general_chats(self, *, app_id: str, user_id: str, limit: int = 50) -> list[dict[str, Any]]:
        """The newest chats of a user by `created_at`, at most `limit` (1 to 200)."""
        tenant, user = checked_owner(app_id, user_id)
        number = max(1, min(checked_number(limit, "limit"), MOST_LISTED))
        return [
            {
                "chat_id": chat.chat_id,
                "label": chat.label,
                "sequence": chat.sequence,
                "status": chat.status,
                "created_at": chat.created_at,
                "last_updated_at": chat.updated_at,
                "last_sequence": chat.last_sequence,
            }
            for chat in self._store.newest(tenant, user, number)
        ]

    def fetch_general_chat_transcript(
        self, *, general_chat_id: str, app_id: str, after_sequence: int = -1, limit: int = 500
    ) -> dict[str, Any] | None:
        """A chat with its messages, each as its whole stored document; None if it is missing or another tenant's.

        With `after_sequence` of 0 or more, `messages` are the oldest ones after it, so that paging from 0 gives every
        message: pass the last `sequence` of a page for the next one. With -1 they are the newest ones. At most `limit`
        (2,000), all for 0 or less. A page is longer only if messages without a sequence follow its last one.
        """
        found = self.stream_transcript(
            general_chat_id=general_chat_id, app_id=app_id, after_sequence=after_sequence, limit=limit
        )
        return None if found is None else {**found[0], "messages": list(found[1])}

    def stream_transcript(
        self, *, general_chat_id: str, app_id: str, after_sequence: int, limit: int
    ) -> tuple[dict[str, Any], Iterator[dict[str, Any]]] | None:
        """As `fetch_general_chat_transcript`, with the chat and its messages apart. They are read as they are asked for."""
        chat_id, tenant = _checked_chat_id(general_chat_id), checked_part(app_id, "app_id")
        after, most = checked_number(after_sequence, "after_sequence"), checked_number(limit, "limit")
        state = self._store.find(chat_id)
        if state is None or state.chat.tenant_id != tenant:
            return None
        part = TranscriptPart(max(0, after), None if most <= 0 else min(most, MOST_MESSAGES), newest=after < 0)
        chat = state.chat
        facts = {
            "chat_id": chat.chat_id,
            "label": chat.label,
            "sequence": chat.sequence,
            "status": chat.status,
            "app_id": chat.tenant_id,
            "user_id": chat.user_id,
            "created_at": chat.created_at,
            "last_updated_at": chat.updated_at,
            "last_sequence": chat.last_sequence,
        }
        return facts, self._store.messages(state, part)

    def _opened(self, chat_id: str, tenant: str, user: str | None) -> GeneralChatState:
        """The last known state of a chat, or the stored one. Raises NotFound and Conflict."""
        state = self._known.known(chat_id)
        if state is None:
            state = self._store.find(chat_id)
            if state is None and may_belong_to(chat_id, tenant) and self._store.is_deleted(chat_id):
                what = f"Session {chat_id!r} was deleted on purpose and stays deleted."
                raise Conflict(what=what, hint="Create a new general chat.")
            if state is not None:
                self._known.remember(chat_id, state)
        if state is None or state.chat.tenant_id != tenant or not _is_user_of(state.chat, user):
            owner = "this tenant" if user is None else "this tenant and user"
            raise NotFound(
                kind_of_thing="session",
                name=chat_id,
                where=f" among the general chats of {owner}",
                hint=f"To list ids, run: chatstore sessions list --layout general --tenant {shlex.quote(tenant)}",
            )
        return state


def _checked_chat_id(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidGeneralChat(what="general_chat_id is required")
    return str(value)


def _is_user_of(chat: GeneralChat, user: str | None) -> bool:
    """Whether the chat may be this user's. An old document may have no user."""
    return user is None or chat.user_id is None or chat.user_id == user

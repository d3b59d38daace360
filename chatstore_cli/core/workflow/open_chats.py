"""What is remembered of chats that are being written to, and how one is opened: found, adopted, or created."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.errors import BadValue, Conflict, NotFound
from chatstore_cli.domain.times import Clock
from chatstore_cli.domain.workflow.chats import ChatState, ChatWriter, NewChat

_LOCKS = 64
_ATTEMPTS = 10
_TIMES = 200
_HURRIED = 3
_CLAIMS = 10_000

Done = TypeVar("Done")


def checked_chat(chat_id: object, tenant_id: object, user_id: object, workflow: object) -> NewChat:
    """A chat whose ids can be stored, whatever signs are in them. Raises BadValue."""
    for name, value in (("user_id", user_id), ("workflow_name", workflow)):
        if value is not None:
            checked_id(name, value)
    given = [value if isinstance(value, str) else None for value in (user_id, workflow)]
    return NewChat(checked_id("chat_id", chat_id), checked_id("enterprise_id", tenant_id), *given)


def checked_id(name: str, value: object) -> str:
    """An id that can be stored. Raises BadValue."""
    if not isinstance(value, str) or not value:
        shown = value if isinstance(value, str) else f"<{type(value).__name__}>"
        raise BadValue(name=name, value=shown, expected="an id: text that is not empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        shown = value.encode("utf-8", "backslashreplace").decode()[:60]
        raise BadValue(name=name, value=shown, expected="text that can be stored") from error
    if len(value) > 1_000:
        raise BadValue(name=name, value=value[:60] + "...", expected="an id of at most 1,000 characters")
    return str.__str__(value)


class KnownChats:
    """The chats that were written to last. May be used from several threads."""

    def __init__(self, writer: ChatWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._known: LruMap[str, ChatState] = LruMap()
        self._guard = threading.Lock()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._claimed: set[NewChat] = set()

    def lock(self, chat_id: str) -> threading.Lock:
        """Held while a chat is written to, so that the threads of a process need not find out from the database."""
        return self._locks[hash(chat_id) % _LOCKS]

    def remember(self, chat_id: str, state: ChatState) -> None:
        """Take this for what is stored from now on."""
        self._known.put(chat_id, state)

    def forget(self, chat_id: str) -> None:
        """Look at the chat anew."""
        self._known.pop(chat_id)

    def opened(self, chat: NewChat, *, fresh: bool = False) -> ChatState:
        """What is stored of the chat, as far as is known, or `fresh` from the database; created where there is none.

        Raises Conflict where the chat is another tenant's, or was deleted on purpose.
        """
        known = None if fresh else self._known.get(chat.chat_id)
        if known is None or known.tenant_id != chat.tenant_id:
            known = self._created(chat)
            self.remember(chat.chat_id, known)
        elif self._is_to_be_claimed(known, chat):
            known = self._claim(known, chat) or self._created(chat)
            self.remember(chat.chat_id, known)
        return known

    def _is_to_be_claimed(self, state: ChatState, chat: NewChat) -> bool:
        """Whether the chat's owners are told now, and were not before; one that cannot be noted is tried once."""
        if state.tenant_id is None:
            return True
        is_news = (state.user_id is None and chat.user_id is not None) or (
            state.workflow is None and chat.workflow is not None
        )
        return is_news and chat not in self._claimed

    def _claim(self, state: ChatState, chat: NewChat) -> ChatState | None:
        with self._guard:
            if len(self._claimed) >= _CLAIMS:
                self._claimed.clear()
            self._claimed.add(chat)
        return self._writer.claim(state, chat)

    def _created(self, chat: NewChat) -> ChatState:
        for _ in range(_ATTEMPTS):
            state = self._writer.load(chat.chat_id)
            if state is not None and state.chat_id != chat.chat_id:
                state = None  # its `_id` reads like the id that is asked for; it is another chat
            if state is None:
                if self._writer.is_deleted(chat.chat_id):
                    raise Conflict(
                        what=f"Session {chat.chat_id!r} was deleted on purpose, and stays deleted.",
                        hint="A new conversation needs a new id.",
                    )
                state = self._writer.create(chat, self._clock())
            elif self._is_to_be_claimed(state, chat):
                check_tenant(state, chat.tenant_id)
                state = self._claim(state, chat) or self._writer.load(chat.chat_id)
            if state is not None:
                check_tenant(state, chat.tenant_id)
                return state
        raise Conflict(what=f"Session {chat.chat_id!r} is being created and deleted by others.", hint="Try again.")

    def until_done(self, chat_id: str, attempt: Callable[[], Done | None]) -> Done:
        """Try until nobody else has changed the chat in between. Raises Conflict."""
        for number in range(_TIMES):
            if (done := attempt()) is not None:
                return done
            self.forget(chat_id)
            if number >= _HURRIED:
                time.sleep(random.uniform(0, 0.02))
        raise Conflict(what=f"Session {chat_id!r} keeps being changed by others.", hint="Try again.")

    def existing(self, chat_id: str, tenant_id: str | None) -> ChatState:
        """What is stored of a chat that has to be there. Raises NotFound, and Conflict where it is another tenant's."""
        state = self._writer.load(chat_id)
        if state is None:
            raise NotFound(kind_of_thing="session", name=chat_id, where=" of an agent workflow")
        if tenant_id is not None:
            check_tenant(state, tenant_id)
        return state


def check_tenant(state: ChatState, tenant_id: str) -> None:
    """Raises Conflict where a chat is another tenant's. Which one's is not said."""
    if state.tenant_id is not None and state.tenant_id != tenant_id:
        raise Conflict(
            what=f"Session {state.chat_id!r} belongs to another tenant than {tenant_id!r}.",
            hint="Chat ids are unique over all tenants.",
        )

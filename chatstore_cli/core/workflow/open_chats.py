"""The sessions that a process writes to: their last known states, and how one is opened (loaded, claimed or created)."""

from __future__ import annotations

from chatstore_cli.core.known_sessions import KnownSessions
from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import BadValue, Conflict, NotFound, OtherTenant
from chatstore_cli.domain.times import Clock
from chatstore_cli.domain.workflow.chats import ChatState, ChatWriter, NewChat

_MAX_ATTEMPTS_TO_OPEN = 10
_MAX_CLAIMS = 10_000


def checked_chat(chat_id: object, tenant_id: object, user_id: object, workflow: object) -> NewChat:
    """A session whose ids can be stored, whatever characters they contain. Raises BadValue."""
    for name, value in (("user_id", user_id), ("workflow_name", workflow)):
        if value is not None:
            checked_id(name, value)
    optional = [value if isinstance(value, str) else None for value in (user_id, workflow)]
    return NewChat(checked_id("chat_id", chat_id), checked_id("enterprise_id", tenant_id), *optional)


def checked_id(name: str, value: object, hint: str | None = None) -> str:
    """An id that can be stored. Raises BadValue, with the hint if there is no id."""
    if not isinstance(value, str) or not value:
        shown = value if value is None or isinstance(value, str) else f"<{type(value).__name__}>"
        raise BadValue(name=name, value=shown, expected="an id: text that is not empty", hint=hint)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        shown = value.encode("utf-8", "backslashreplace").decode()[:60]
        raise BadValue(name=name, value=shown, expected="text that can be stored") from error
    if len(value) > 1_000:
        raise BadValue(name=name, value=value[:60] + "...", expected="an id of at most 1,000 characters")
    return str.__str__(value)


def checked_tenant(enterprise_id: object, any_tenant: object) -> str | None:
    """The tenant that a session must not differ from, None if the caller waives the check in words. Raises BadValue."""
    if any_tenant is not True and any_tenant is not False:
        raise BadValue(name="any_tenant", value=str(any_tenant)[:60], expected="True or False")
    if not any_tenant:
        hint = "To use the sessions of every tenant, pass any_tenant=True instead."
        return checked_id("enterprise_id", enterprise_id, hint)
    if enterprise_id is not None:
        shown = str(enterprise_id)[:60]
        raise BadValue(name="enterprise_id", value=shown, expected="None, as any_tenant=True requires")
    return None


class KnownChats(KnownSessions[ChatState]):
    """The last known states of the sessions that were written to last. May be used from several threads."""

    def __init__(self, writer: ChatWriter, clock: Clock) -> None:
        super().__init__()
        self._writer = writer
        self._clock = clock
        self._claims: LruMap[NewChat, bool] = LruMap(_MAX_CLAIMS)

    def opened(self, chat: NewChat, *, fresh: bool = False) -> ChatState:
        """The last known state of the session, or with `fresh` the stored one; it is created if it does not exist.

        Raises OtherTenant, and Conflict if the session was deleted on purpose.
        """
        state = None if fresh else self.known(chat.chat_id)
        if state is None or state.tenant_id != chat.tenant_id:
            state = self._load_or_create(chat)
            self.remember(chat.chat_id, state)
        elif self._must_claim(state, chat):
            state = self._claim(state, chat) or self._load_or_create(chat)
            self.remember(chat.chat_id, state)
        return state

    def _must_claim(self, state: ChatState, chat: NewChat) -> bool:
        """Whether the caller names an owner that is not stored yet. One that could not be stored is tried only once."""
        if state.tenant_id is None:
            return True
        is_new = (state.user_id is None and chat.user_id is not None) or (
            state.workflow is None and chat.workflow is not None
        )
        return is_new and chat not in self._claims

    def _claim(self, state: ChatState, chat: NewChat) -> ChatState | None:
        self._claims.put(chat, True)
        return self._writer.claim(state, chat)

    def _load_or_create(self, chat: NewChat) -> ChatState:
        def attempt() -> ChatState | None:
            state = self._writer.load(chat.chat_id)
            if state is not None and state.chat_id != chat.chat_id:
                state = None  # another session, whose `_id` reads like this chat_id
            if state is None:
                if self._writer.is_deleted(chat.chat_id):
                    what = f"Session {chat.chat_id!r} was deleted on purpose and stays deleted."
                    raise Conflict(what=what, hint="Use a new id for a new session.")
                state = self._writer.create(chat, self._clock())
            elif self._must_claim(state, chat):
                check_tenant(state, chat.tenant_id)
                state = self._claim(state, chat) or self._writer.load(chat.chat_id)
            if state is not None:
                check_tenant(state, chat.tenant_id)
            return state

        def failure() -> Conflict:
            what = f"Session {chat.chat_id!r} was created and deleted by other writers at each attempt."
            return Conflict(what=what, hint="Try again.")

        return attempt_until_done(attempt, failure, attempts=_MAX_ATTEMPTS_TO_OPEN)

    def existing(self, chat_id: str, tenant_id: str | None) -> ChatState:
        """The stored state of a session. Raises NotFound and OtherTenant."""
        state = self._writer.load(chat_id)
        if state is None:
            raise NotFound(kind_of_thing="session", name=chat_id, where=" of an agent workflow")
        if tenant_id is not None:
            check_tenant(state, tenant_id)
        return state


def check_tenant(state: ChatState, tenant_id: str) -> None:
    """Raise OtherTenant if a session belongs to another tenant, without naming that tenant."""
    if state.has_unreadable_tenant or (state.tenant_id is not None and state.tenant_id != tenant_id):
        hint = "Session ids are unique across all tenants."
        raise OtherTenant(chat_id=state.chat_id, tenant_id=tenant_id, hint=hint)

"""Every error that chatstore raises on purpose, with the exit status of the command.

    ChatstoreError                    1  failed
      WrongUse                        2  the command line or the configuration is wrong
        BadValue, BadConfig, NeedsConfirmation
        InvalidThreadData                a value that no thread or message can have (also a ValueError)
          BadLines                       lines of an input that cannot be stored, one a line of the message
        InvalidAgent                     a value that no saved agent can have (also a ValueError)
        InvalidGeneralChat               a value that no general chat can have (also a ValueError)
        InvalidPhoneNumber               a text that is not a phone number (also a ValueError)
        InvalidCall                      a value that no call session can have (also a ValueError)
        NoActiveThread                   a call that needs a current thread (also a ValueError)
      NotFound                        3  the named thing does not exist
        ThreadNotFound                   also a ValueError
        MessageNotFound                  also a ValueError
        AgentNotFound, AgentVersionNotFound
      NotAllowed                      4  read-only, or the database user lacks permission
      Unreachable                     5  database or server unreachable, or too slow
        Overdue                          the time limit passed
        BinaryMissing                    no mongod can run on this machine
        UnknownHost                      no host has this name
      Conflict                        8  in use by someone else, or in another state than required
        PositionAhead                    a client has more of a session than is stored
        Locked
        OtherTenant                      the session belongs to another tenant than the caller's
        AgentChanged                     an agent is not in the version that an update was made from
        ForeignCollection                the collection holds mainly documents of another product
        PrerequisiteRefused              the application's hook does not allow a workflow to start or to become active
      Interrupted                   130  stopped by the user between two batches, so that nothing is half done
      DocumentRefused                 1  a document that the driver or the server rejects
      NotRecorded                     1  a message that is neither in the journal nor in memory
      UnsuitableCollection            1  a kind of collection in which documents cannot be stored reliably

The docstring of a class is its message; `{names}` in it are replaced by the keyword arguments of the constructor. A
message has three parts: what failed, on which thing, and (in `hint`) what to do. The driver's error is the `__cause__`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from chatstore_cli.domain.secrets import masked


class ExitCode(IntEnum):
    """The exit status of a command. The help of every command lists those that it can have."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    FINDINGS = 6
    PARTLY_DONE = 7
    CONFLICT = 8
    INTERRUPTED = 130


EXIT_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed",
    ExitCode.WRONG_USE: "invalid command line or configuration",
    ExitCode.NOT_FOUND: "not found",
    ExitCode.NOT_ALLOWED: "not allowed",
    ExitCode.UNREACHABLE: "database or server unreachable, or too slow",
    ExitCode.FINDINGS: "findings: a check failed, or an index has drifted",
    ExitCode.PARTLY_DONE: "partly done: lines were newly quarantined",
    ExitCode.CONFLICT: "conflict, or locked by another process",
    ExitCode.INTERRUPTED: "interrupted",
}


_LONGEST_ID_SHOWN = 100
_LONGEST_THREAD_ID_SHOWN = 200


class ChatstoreError(Exception):
    """{what}"""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    kind: ClassVar[str] = "failed"

    def __init__(self, *, hint: str | None = None, **facts: object) -> None:
        template = (type(self).__doc__ or "{what}").strip()
        self.message = template.format(**facts) if facts else template
        self.hint = hint
        self.facts = facts
        super().__init__(self.message)

    def as_text(self) -> str:
        """The message and the hint as one line of text."""
        stop = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{stop} {self.hint}" if self.hint else f"{self.message}{stop}"


class WrongUse(ChatstoreError):
    """{what}"""

    exit_code = ExitCode.WRONG_USE
    kind = "wrong_use"


class BadValue(WrongUse):
    """{name}: {value!r} is not {expected}."""

    kind = "bad_value"

    def __init__(self, *, name: str, value: object, expected: str, hint: str | None = None) -> None:
        """Secrets in the value are masked: it may be a URI."""
        shown = masked(value) if isinstance(value, str) else value
        super().__init__(name=name, value=shown, expected=expected, hint=hint)


class BadConfig(WrongUse):
    """{where}: {what}"""

    kind = "bad_config"

    def __init__(self, *, where: str, what: str, hint: str | None = None) -> None:
        """Secrets in `what` are masked: a URI in the wrong place of a file is quoted as a name."""
        super().__init__(where=where, what=masked(what), hint=hint)


class BadVariable(BadConfig, ValueError):
    """{where}: {what}"""


class NeedsConfirmation(WrongUse):
    """{what}{end}Nothing was done."""

    kind = "needs_confirmation"

    def __init__(self, *, what: str, hint: str | None = None) -> None:
        """If `what` is a plan of several lines, the end of the message has its own line."""
        super().__init__(what=what, end="\n" if "\n" in what else " ", hint=hint)


class InvalidThreadData(WrongUse, ValueError):
    """{what}"""

    kind = "bad_value"


class BadLines(InvalidThreadData):
    """{what}"""

    kind = "bad_lines"


class InvalidAgent(WrongUse, ValueError):
    """{what}"""

    kind = "bad_value"


class InvalidGeneralChat(WrongUse, ValueError):
    """{what}"""

    kind = "bad_value"


class InvalidPhoneNumber(WrongUse, ValueError):
    """e164 must be a valid E.164 phone number"""

    kind = "bad_value"


class InvalidCall(WrongUse, ValueError):
    """{what}"""

    kind = "bad_value"


class NoActiveThread(WrongUse, ValueError):
    """No active thread. Create or set a thread first."""

    kind = "no_active_thread"


class NotFound(ChatstoreError):
    """No {kind_of_thing} {name!r}{where}."""

    exit_code = ExitCode.NOT_FOUND
    kind = "not_found"

    def __init__(self, *, kind_of_thing: str, name: str, where: str, hint: str | None = None) -> None:
        """A long session id is shortened, because the user may have typed anything."""
        if kind_of_thing == "session" and len(name) > _LONGEST_ID_SHOWN:
            name = f"{name[:_LONGEST_ID_SHOWN]}…"
        super().__init__(kind_of_thing=kind_of_thing, name=name, where=where, hint=hint)


class ThreadNotFound(NotFound, ValueError):
    """Thread {thread_id} {how}"""

    def __init__(self, *, thread_id: object, how: str = "does not exist", hint: str | None = None) -> None:
        """`how` is the documented wording: `does not exist`, or `not found` if the thread was to become the current one.

        `thread_id` is whatever the caller passed as the id, for example None.
        """
        shown = str(thread_id)
        if len(shown) > _LONGEST_THREAD_ID_SHOWN:
            shown = f"{shown[:_LONGEST_THREAD_ID_SHOWN]}…"
        hint = hint or "The whole id is required. To list thread ids, run: chatstore threads list."
        ChatstoreError.__init__(self, thread_id=shown, how=how, hint=hint)


class MessageNotFound(NotFound, ValueError):
    """Message {message_id} is not in thread {thread_id}."""

    def __init__(self, *, message_id: str, thread_id: str, hint: str | None = None) -> None:
        """A message that is in no thread, or in another one."""
        hint = hint or f"To list its messages, run: chatstore threads messages {thread_id}."
        ChatstoreError.__init__(self, message_id=message_id, thread_id=thread_id, hint=hint)


class AgentNotFound(NotFound):
    """Agent not found"""

    def __init__(self, *, agent_id: str, hint: str | None = None) -> None:
        """The message is the documented one. It is the same for an agent of another tenant and for a deleted one."""
        hint = (
            hint
            or f"No agent has the id {agent_id!r}. To list agents, run: chatstore agents list (--deleted: the deleted ones)."
        )
        ChatstoreError.__init__(self, hint=hint, agent_id=agent_id)


class AgentVersionNotFound(NotFound):
    """Agent or version not found"""

    def __init__(self, *, agent_id: str, version_id: str, hint: str | None = None) -> None:
        """The message is the documented one."""
        hint = hint or f"To list the versions of an agent, run: chatstore agents history {agent_id}."
        ChatstoreError.__init__(self, hint=hint, agent_id=agent_id, version_id=version_id)


class NotAllowed(ChatstoreError):
    """{what}"""

    exit_code = ExitCode.NOT_ALLOWED
    kind = "not_allowed"


class MissingRight(NotAllowed):
    """{what}"""

    # The database user has logged in, but has no right to this operation. Code that can do without the operation catches it.


class Unreachable(ChatstoreError):
    """{what}"""

    exit_code = ExitCode.UNREACHABLE
    kind = "unreachable"


class Overdue(Unreachable):
    """{what}"""

    kind = "too_slow"


class BinaryMissing(Unreachable):
    """{what}"""

    kind = "no_mongod"


class UnknownHost(Unreachable):
    """{what}"""


class Conflict(ChatstoreError):
    """{what}"""

    exit_code = ExitCode.CONFLICT
    kind = "conflict"


class PositionAhead(Conflict):
    """The client's {kind} {number} of session {session_id!r} is ahead: the last stored one is {stored}."""

    kind = "position_ahead"

    def __init__(self, *, session_id: str, kind: str, number: int, stored: int) -> None:
        """`kind` is sequence or index."""
        hint = "Replay this session from the beginning: it was deleted, or restored from a backup."
        super().__init__(session_id=session_id, kind=kind, number=number, stored=stored, hint=hint)


class Locked(Conflict):
    """{what} is in use by {holder}."""

    kind = "locked"


class OtherTenant(Conflict):
    """Session {chat_id!r} belongs to another tenant than {tenant_id!r}."""

    kind = "other_tenant"


class AgentChanged(Conflict):
    """Agent {agent_id} is in version {version_id}, and the update was made from version {base_version}."""

    kind = "agent_changed"


class ForeignCollection(Conflict):
    """{what}"""

    kind = "foreign_collection"


class PrerequisiteRefused(Conflict):
    """Workflow {chat_id!r} was refused: {reason}"""

    kind = "prerequisite_refused"


class Interrupted(ChatstoreError):
    """Interrupted. {what}"""

    exit_code = ExitCode.INTERRUPTED
    kind = "interrupted"


class DocumentRefused(ChatstoreError):
    """{where}: {reason}"""

    kind = "document_refused"


class NotRecorded(ChatstoreError):
    """The message was not recorded: {what}"""

    kind = "not_recorded"


class UnsuitableCollection(ChatstoreError):
    """{what}"""

    kind = "unsuitable_collection"

"""Selects the messages of a thread since its newest summary, and makes the content of the next summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore_cli.core.threads.prompt_messages import prompt_messages
from chatstore_cli.core.threads.summaries import SummaryRange, is_summary, summary_content, summary_range
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, Message

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.ports import ConversationRepository, Owner

Summarizer = Callable[[list[Message]], str]
"""The caller's function that makes one text of messages."""


class Unsummarized(NamedTuple):
    """The messages for the next summary, and the range that it will cover.

    `messages` are the newest summary, if there is one, and the messages after its range.
    """

    messages: list[Message]
    covered: SummaryRange


def since_summary(
    repository: ConversationRepository, thread_id: str, owner: Owner
) -> tuple[ChatMessage | None, list[ChatMessage]]:
    """The newest summary, and the messages after its range that are not summaries."""
    newest = repository.newest_summary(thread_id, owner=owner)
    covered = None if newest is None else summary_range(newest)
    after = None if covered is None else covered.to_sequence
    messages = repository.iter_messages(thread_id, after_sequence=after, owner=owner)
    return newest, [message for message in messages if not is_summary(message)]


def unsummarized(
    repository: ConversationRepository, thread_id: str, owner: Owner, keep_last: int
) -> Unsummarized | None:
    """The messages for the next summary; None if no further message needs one."""
    if keep_last < 0:
        raise InvalidThreadData(what=f"keep_last: {keep_last} is negative.")
    newest, messages = since_summary(repository, thread_id, owner)
    covered = messages[: max(0, len(messages) - keep_last)]
    if not covered:
        return None
    former = None if newest is None else summary_range(newest)
    first = covered[0].sequence if former is None else former.from_sequence
    to_read = prompt_messages(covered if newest is None else [newest, *covered])
    return Unsummarized(to_read, SummaryRange(first, covered[-1].sequence))


def checked_summary(text: object, covered: SummaryRange) -> dict[str, Any]:
    """The content of a summary. Raises InvalidThreadData if the summarizer did not return a text, or an empty one."""
    if not isinstance(text, str) or not text:
        raise InvalidThreadData(what="summarizer: it did not return a text. Nothing was stored.")
    return summary_content(text, covered)

"""Parts of content that several transcripts share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.domain.content import content_text
from chatstore_cli.domain.media import Media, media_of
from chatstore_cli.domain.workflow.repairs import Repair, Repairs


def picture_part(media: Media) -> dict[str, Any] | None:
    """A picture as OpenAI's API and AG2 accept it from a user; None for anything else."""
    if not media.is_picture:
        return None
    detail = {} if media.detail is None else {"detail": media.detail}
    return {"type": "image_url", "image_url": {"url": media.address, **detail}}


def count_replaced_media(stored: Sequence[Any], parts: Sequence[Any], repairs: Repairs) -> None:
    """Count the pictures and files among the stored parts that are text now."""
    for before, part in zip(stored, parts, strict=True):
        if part["type"] == "text" and media_of(before) is not None:
            repairs.count(Repair.MEDIA_REPLACED)


def plain_text(content: Any, repairs: Repairs) -> str:
    """The content as text. What that changes is counted: pictures and files one by one, other values once."""
    media = sum(media_of(part) is not None for part in (content if isinstance(content, list) else [content]))
    for _ in range(media):
        repairs.count(Repair.MEDIA_REPLACED)
    if not media and content is not None and not isinstance(content, str):
        repairs.count(Repair.CONTENT_FLATTENED)
    return content_text(content)

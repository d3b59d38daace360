"""The ids and labels of general chats, and the check of their tenants and users."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chatstore_cli.domain.errors import InvalidGeneralChat
from chatstore_cli.domain.json_types import type_in_words

PREFIX = "generalchat-"
LONGEST_OWNER = 500
"""The longest tenant or user, in bytes of UTF-8."""
_MAX_DIGITS = 15


def general_chat_id(tenant: str, user: str, number: int) -> str:
    """The id of a chat: `generalchat-{tenant}-{user}-{number:04d}`. A number above 9999 has more digits.

    `-` separates the parts, so a `-` in the tenant or the user is written `%2D`, and `%` is written `%25`. No other
    character changes. Without this, ("a-b", "c") and ("a", "b-c") would share an id.
    """
    return f"{PREFIX}{_escaped(tenant)}-{_escaped(user)}-{number:04d}"


def plain_chat_id(tenant: str, user: str, number: int) -> str:
    """The id without escapes, which other writers store. Two pairs of tenant and user can share it."""
    return f"{PREFIX}{tenant}-{user}-{number:04d}"


def may_belong_to(chat_id: str, tenant: str) -> bool:
    """Whether an id may be that of a chat of the tenant: each writer's ids begin with the tenant."""
    return chat_id.startswith((f"{PREFIX}{_escaped(tenant)}-", f"{PREFIX}{tenant}-"))


def counter_id(tenant: str, user: str) -> str:
    """The id of a new counter of a tenant and user: the ids of their chats without `-` and number."""
    return f"{PREFIX}{_escaped(tenant)}-{_escaped(user)}"


def highest_number(tenant: str, user: str, ids_in_range: Callable[[str, str], Iterable[str]]) -> int:
    """The highest number in the ids of a tenant and user, with or without escapes; 0 if they have no chat.

    `ids_in_range` yields the ids from a first text (inclusive) to an end (exclusive), in the order of bytes.
    """
    highest = 0
    for prefix in {f"{PREFIX}{_escaped(tenant)}-{_escaped(user)}-", f"{PREFIX}{tenant}-{user}-"}:
        for chat_id in ids_in_range(prefix, f"{prefix[:-1]}."):  # "." follows "-"
            number = chat_id[len(prefix) :]
            if number.isascii() and number.isdecimal() and len(number) <= _MAX_DIGITS:
                highest = max(highest, int(number))
    return highest


def owners_of(chat_id: str) -> tuple[list[tuple[str, str]], int]:
    """The pairs of tenant and user to whom a plain id can belong, and its number; no pair if it is not such an id."""
    prefix, _, rest = chat_id.partition(PREFIX)
    middle, _, number = rest.rpartition("-")
    if prefix or not (number.isascii() and number.isdecimal() and 4 <= len(number) <= _MAX_DIGITS):
        return [], 0
    parts = middle.split("-")
    pairs = [("-".join(parts[:place]), "-".join(parts[place:])) for place in range(1, len(parts))]
    return [pair for pair in pairs if all(pair)], int(number)


def label_of(number: int) -> str:
    """The label of a chat, for example `General Chat #3`."""
    return f"General Chat #{number}"


def checked_owner(tenant: object, user: object) -> tuple[str, str]:
    """The tenant and the user of a chat. Raises InvalidGeneralChat, which names `app_id` or `user_id`."""
    return checked_part(tenant, "app_id"), checked_part(user, "user_id")


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("-", "%2D")


def checked_part(value: object, name: str) -> str:
    """A tenant, a user or an event id. Raises InvalidGeneralChat, which names it by `name`."""
    if value is None or value == "":
        raise InvalidGeneralChat(what=f"{name} is required")
    if not isinstance(value, str):
        raise InvalidGeneralChat(what=f"{name}: a text is expected, not {type_in_words(value)}.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidGeneralChat(what=f"{name} has a lone surrogate, which MongoDB cannot store.") from None
    if "\0" in value:
        raise InvalidGeneralChat(what=f"{name} has a NUL character.")
    if size > LONGEST_OWNER:
        raise InvalidGeneralChat(what=f"{name} has {size:,} bytes, and at most {LONGEST_OWNER} are allowed.")
    return str(value)

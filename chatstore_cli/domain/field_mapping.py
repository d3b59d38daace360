"""Reads the lines of journals that another application writes: its names of fields and roles become chatstore's.

A mapping is written as text: `text=content, created_at=timestamp, roles.bot=assistant`. The left side of a field is
chatstore's name, the right side the application's, with dots for a field inside an object (`text=message.content`). The
left side of a role is the application's name, the right side chatstore's.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from chatstore_cli.domain.message import ROLES

TARGETS = ("session_id", "role", "text", "created_at", "message_id", "metadata", "vector_ids")
_ROLES_PREFIX = "roles."
EXPECTED = "pairs such as text=content, created_at=timestamp, roles.bot=assistant"
Fields = dict[str, Any]


class FieldMapping:
    """A mapping, ready for use. Raises ValueError if the text is not a mapping."""

    def __init__(self, text: str) -> None:
        pairs = _pairs(text)
        self._paths: list[tuple[str, tuple[str, ...]]] = []
        self._roles: dict[str, str] = {}
        for name, value in sorted(pairs.items()):
            if name.startswith(_ROLES_PREFIX):
                if value not in ROLES:
                    raise ValueError(f"{name}: {value!r} is not one of {', '.join(sorted(ROLES))}")
                self._roles[name.removeprefix(_ROLES_PREFIX)] = value
            elif name not in TARGETS:
                raise ValueError(f"{name} is not one of {', '.join(TARGETS)} and roles.<name>")
            elif value != name:
                self._paths.append((name, tuple(value.split("."))))
        self.names = tuple(path[-1] for _, path in self._paths)
        """The application's names, without the objects that they are in."""
        written = ",".join(f"{name}={pairs[name]}" for name in sorted(pairs))
        self.key = "+" + blake2b(written.encode(), digest_size=8).hexdigest()
        """Differs between any two mappings that are written differently."""

    def apply(self, fields: Fields) -> Fields:
        """The fields with chatstore's names. A value that another one replaces is kept under the application's name."""
        taken = [(name, path, _take(fields, path)) for name, path in self._paths]
        for name, path, found in taken:
            if found is None:
                continue
            if name in fields:
                fields[".".join(path)] = fields[name]
            fields[name] = found[0]
        role = fields.get("role")
        if isinstance(role, str) and role in self._roles:
            fields["role"] = self._roles[role]
        return fields


def merged_mapping(text: str | None, changes: Iterable[str]) -> str:
    """The mapping with other pairs. Raises ValueError."""
    pairs = _pairs(text or "")
    for change in changes:
        pairs.update(_pairs(change))
    merged = ", ".join(f"{name}={value}" for name, value in pairs.items())
    FieldMapping(merged)
    return merged


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(str.strip, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ValueError(f"{part.strip()!r} is not of the form NAME=FIELD")
        pairs[name.strip()] = value.strip()
    return pairs


def _take(fields: Fields, path: tuple[str, ...]) -> tuple[Any] | None:
    """The value at this path, which is removed from the fields; None if there is none."""
    flat = ".".join(path)
    if flat in fields:
        return (fields.pop(flat),)
    *objects, name = path
    inner: Any = fields
    for step in objects:
        inner = inner.get(step) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or name not in inner:
        return None
    return (inner.pop(name),)

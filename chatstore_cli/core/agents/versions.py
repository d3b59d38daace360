"""Versions of agents: which of them stay in the document of the agent, and how two of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from chatstore_cli.core.agents.checks import path_step
from chatstore_cli.core.agents.secrets import masked_config
from chatstore_cli.core.agents.stored_values import MISSING, same

MOST_VERSIONS = 100
"""The versions in the document of an agent. Older ones are in a collection of their own."""
MOST_BYTES = 12 * 1024 * 1024
"""The size up to which a document of an agent has older versions. MongoDB rejects documents over 16 MiB."""
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What decides whether a version stays in the document. `size` is in bytes."""

    active: bool
    created_at: datetime | None
    size: int


def places_to_keep(
    versions: Sequence[VersionFacts], other_bytes: int, *, most: int = MOST_VERSIONS, most_bytes: int = MOST_BYTES
) -> list[int]:
    """The places of the versions that stay: the active one and the newest others, at most `most`, in their order.

    `other_bytes` is the size of the document without versions. All versions that do not stay are older than those that do.
    """
    kept = [place for place, version in enumerate(versions) if version.active]
    size = other_bytes + sum(versions[place].size for place in kept)
    for place in newest_first([version.created_at for version in versions]):
        if versions[place].active:
            continue
        size += versions[place].size
        if len(kept) >= most or size > most_bytes:
            break
        kept.append(place)
    return sorted(kept)


def newest_first(created_at: Sequence[datetime | None]) -> list[int]:
    """The places of versions, the newest first. Of equal times, the later place is newer."""
    return sorted(range(len(created_at)), key=lambda place: (created_at[place] or _OLDEST, place), reverse=True)


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that two configurations do not share. `old` or `new` is None if it is missing on that side.

    `kind` is `added`, `removed` or `changed`. `path` is written as in `config.tools[3].name`.
    """

    path: str
    kind: str
    old: Any
    new: Any


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], *, path: str = "config", reveal: bool = False
) -> list[Difference]:
    """How two configurations differ, in the order of the old one. Secrets are compared, and shown as a mask.

    Objects and lists are compared part by part, and lists place by place.
    """
    shown_old, shown_new = (dict(old), dict(new)) if reveal else (masked_config(old), masked_config(new))
    found: list[Difference] = []
    _compare(_Sides(dict(old), dict(new), shown_old, shown_new), path, found)
    return found


class _Sides(NamedTuple):
    """A value on both sides, and how it is shown. A missing value is MISSING."""

    old: Any
    new: Any
    shown_old: Any
    shown_new: Any

    def item(self, key: str) -> _Sides:
        return _Sides(*(side.get(key, MISSING) for side in self))

    def element(self, index: int) -> _Sides:
        return _Sides(*(side[index] if index < len(side) else MISSING for side in self))


def _compare(sides: _Sides, path: str, found: list[Difference]) -> None:
    old, new = sides.old, sides.new
    if old is MISSING:
        found.append(Difference(path, "added", None, sides.shown_new))
    elif new is MISSING:
        found.append(Difference(path, "removed", sides.shown_old, None))
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            _compare(sides.item(key), path + path_step(key), found)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            _compare(sides.element(index), path + path_step(index), found)
    elif not same(old, new):
        found.append(Difference(path, "changed", sides.shown_old, sides.shown_new))

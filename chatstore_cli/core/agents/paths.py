"""Paths into configurations of agents, as `agents show` prints them: `tools[3].name`, `headers["a.b"]`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chatstore_cli.core.agents.checks import MAX_LEVELS, path_step
from chatstore_cli.core.agents.stored_values import Path
from chatstore_cli.domain.errors import WrongUse

_KEY = re.compile(r'[^.\[\]="]+')
_INDEX = re.compile(r"\[(0|[1-9][0-9]{0,6})\]")
_QUOTED = re.compile(r'\["(?:[^"\\]|\\.)*"\]')
_HINT = (
    'Examples: engine.llm, tools[0], headers["a.b"]. A key with one of the characters .[]=" is in brackets and quotes.'
)


def parsed_path(text: str, option: str) -> Path:
    """The steps of a path. Raises WrongUse."""
    steps, rest = _steps(text)
    if not steps or rest:
        raise WrongUse(what=f"{option} {text[:200]!r}: not a path.", hint=_HINT)
    return steps


def parsed_assignment(text: str, option: str) -> tuple[Path, str]:
    """The steps and the value of `path=value`. Raises WrongUse."""
    steps, rest = _steps(text)
    if not steps or not rest.startswith("="):
        before, equals, _ = text.partition("=")
        shown = f" {before[:200]!r}" if equals else ""  # without it, any part of the text may be a secret
        raise WrongUse(what=f"{option}{shown}: not PATH=VALUE.", hint=_HINT)
    return steps, rest[1:]


def path_text(path: Path) -> str:
    """A path as it is written."""
    return "".join(map(path_step, path)).removeprefix(".")


def set_value(config: dict[str, Any], path: Path, value: Any, option: str) -> None:
    """Set the value under a path. Objects on the way are created, and the place after the end of a list is a new one.

    Raises WrongUse for a path that does not fit, and for one that begins with `config`, as `agents diff` prints paths.
    """
    if len(path) > 1 and path[0] == "config" and "config" not in config:
        inside = path_text(path[1:])
        what = f"{option} {path_text(path)[:200]}: a path begins inside the configuration."
        raise WrongUse(what=what, hint=f"Write {inside[:200]} instead.")
    target: Any = config
    for place, step in enumerate(path):
        _check_step(target, path[: place + 1], option, grows=True)
        following = path[place + 1 : place + 2]
        if following and _has(target, step):
            target = target[step]
            continue
        new = value if not following else [] if isinstance(following[0], int) else {}
        if isinstance(target, list) and step == len(target):
            target.append(new)
        else:
            target[step] = new
        target = new


def _has(target: Any, step: str | int) -> bool:
    return step in target if isinstance(target, dict) else isinstance(step, int) and step < len(target)


def unset_value(config: dict[str, Any], path: Path, option: str) -> None:
    """Remove the value under a path. Raises WrongUse if the path does not exist."""
    target: Any = config
    for place, step in enumerate(path):
        _check_step(target, path[: place + 1], option, grows=False)
        if place == len(path) - 1:
            del target[step]
        else:
            target = target[step]


def values_by_path(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each value of a configuration that is not an object or a list with values, under its path."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, Mapping) and value:
            for key, item in value.items():
                yield from walk(item, path + path_step(key))
        elif isinstance(value, list) and value:
            for index, item in enumerate(value):
                yield from walk(item, path + path_step(index))
        elif path:
            yield path.removeprefix("."), value

    return walk(config, "")


def _steps(text: str) -> tuple[Path, str]:
    """The steps at the beginning of a text, and the rest of the text."""
    steps: list[str | int] = []
    at = 0
    while len(steps) <= MAX_LEVELS:
        if (found := _INDEX.match(text, at)) and steps:
            steps.append(int(found[1]))
        elif found := _QUOTED.match(text, at):
            try:
                steps.append(json.loads(found[0][1:-1]))
            except ValueError:
                break
        else:
            begins = at + 1 if steps and text[at : at + 1] == "." else at
            found = _KEY.match(text, begins) if begins > at or not steps else None
            if found is None:
                break
            steps.append(found[0])
        at = found.end()
    return tuple(steps), text[at:]


def _check_step(target: Any, path: Path, option: str, *, grows: bool) -> None:
    """Raise WrongUse unless the last step of the path fits the type and the size of the target."""
    step, where = path[-1], path_text(path)
    if isinstance(target, dict) and isinstance(step, str):
        if not grows and step not in target:
            raise WrongUse(what=f"{option} {where}: the configuration has no such value.", hint=_HINT)
    elif isinstance(target, list) and isinstance(step, int):
        if step > len(target) or (step == len(target) and not grows):
            raise WrongUse(what=f"{option} {where}: the list has {len(target):,} values, counted from 0.")
    else:
        kind = "a list" if isinstance(target, list) else "an object" if isinstance(target, dict) else "a single value"
        wanted = "an index of a list" if isinstance(step, int) else "a key of an object"
        raise WrongUse(what=f"{option} {where}: its last part is {wanted}, but the value above it is {kind}.")

"""Where settings come from: configuration files, the environment, `.env`. Each gives values under dotted keys.

What the keys are and which values they take is not known here: see config.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore_cli.domain.errors import BadConfig

if TYPE_CHECKING:
    import yaml

PREFIX = "CHATSTORE_"
SHORT_NAMES = {"CHATSTORE_URI": "mongo.uri", "CHATSTORE_DATABASE": "mongo.database"}
OTHER_NAMES = ("CHATSTORE_CONFIG", "CHATSTORE_PROFILE", "CHATSTORE_MONGOD", "CHATSTORE_REQUIRE_MONGOD")
"""Variables of ours that are no settings."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SourcedValue(NamedTuple):
    """One value as a source gave it. `source` names the place: `config.yaml:3`, `environment CHATSTORE_URI`, `--uri`.

    `expands` says whether `${VAR}` in it stands for a variable: in files, which no shell has read before us.
    """

    value: Any
    source: str
    expands: bool = False


class Problem(NamedTuple):
    """Something wrong with the configuration, and what to do. `serious` ones stop every command."""

    where: str
    what: str
    hint: str | None = None
    serious: bool = True

    def as_error(self) -> BadConfig:
        """The error that it ends a command with."""
        return BadConfig(where=self.where, what=self.what, hint=self.hint)


@dataclass
class Source:
    """What one place gave, by dotted key, and what was wrong there. `file` is its path where it is one."""

    values: dict[str, SourcedValue] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    file: Path | None = None


def unknown(name: str, known: Sequence[str], where: str, *, what: str = "setting") -> Problem:
    """The problem of a name that is none of the known ones, with the nearest of them."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    return Problem(where, f"unknown {what} {name}.", hint)


# --- files -----------------------------------------------------------------------------------------------------------


def read_file(path: Path, shown: str, keys: Sequence[str]) -> Source:
    """The values of a YAML file under the keys. Top-level blocks that hold none of them are not even constructed.

    Raises BadConfig, naming file and line, for a file that cannot be read or is no YAML mapping.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadConfig(where=shown, what=f"cannot be read: {error.strerror}.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadConfig(where=f"{shown}:{line}", what=f"not UTF-8 (byte 0x{raw[error.start]:02x}).") from error
    import yaml

    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    source = Source(file=path)
    try:
        loader = loader_class(text)
        root = loader.get_single_node()
        if root is None or root.tag == "tag:yaml.org,2002:null":
            return source
        if not isinstance(root, yaml.MappingNode):
            line = root.start_mark.line + 1
            raise BadConfig(where=f"{shown}:{line}", what="not a mapping of settings such as `mongo:`.")
        _Walk(loader, shown, keys, source).block(root, "")
    except (yaml.YAMLError, RecursionError) as error:
        line = _line_of(error, text)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise BadConfig(where=f"{shown}:{line}", what=f"not YAML: {reason}.") from error
    return source


def _line_of(error: Exception, text: str) -> int:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", None)  # of a character that no YAML file may hold
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


class _Walk:
    """Goes down our blocks of a YAML document and notes the values, with the line that each stands in."""

    def __init__(self, loader: Any, shown: str, keys: Sequence[str], source: Source) -> None:
        self._loader = loader
        self._shown = shown
        self._keys = keys
        self._source = source

    def block(self, node: yaml.MappingNode, prefix: str) -> None:
        children = list(dict.fromkeys(key[len(prefix) :].partition(".")[0] for key in self._keys_below(prefix)))
        self._note_doubles(node, prefix, children)
        self._loader.flatten_mapping(node)  # `<<` brings in the values of another block
        for name_node, value_node in node.value:
            where = f"{self._shown}:{name_node.start_mark.line + 1}"
            name = str(name_node.value)
            if name in children:
                self._child(f"{prefix}{name}", value_node, where)
            elif prefix:
                problem = unknown(name, children, where, what=f"setting {prefix.rstrip('.')}:")
                self._source.problems.append(problem)
            else:
                self._warn_where_it_looks_like_ours(name, children, where)

    def _child(self, key: str, node: yaml.Node, where: str) -> None:
        import yaml

        if key not in self._keys:
            if isinstance(node, yaml.MappingNode):
                self.block(node, f"{key}.")
            elif self._value(node, where) is not None:  # nothing but a name: a block whose settings are commented out
                self._source.problems.append(Problem(where, f"{key} must be a block of settings."))
            return
        self._source.values[key] = SourcedValue(self._value(node, where), where, expands=True)

    def _value(self, node: yaml.Node, where: str) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (ValueError, TypeError, OverflowError) as error:  # such as the date 2026-13-45
            raise BadConfig(where=where, what=f"not YAML: {error}.") from error

    def _keys_below(self, prefix: str) -> Iterator[str]:
        return (key for key in self._keys if key.startswith(prefix))

    def _note_doubles(self, node: yaml.MappingNode, prefix: str, children: Sequence[str]) -> None:
        seen: dict[str, int] = {}
        for name_node, _ in node.value:
            name, line = str(name_node.value), name_node.start_mark.line + 1
            if name in seen and name in children:
                what = f"{prefix}{name} is set twice: in line {seen[name]} and here."
                self._source.problems.append(Problem(f"{self._shown}:{line}", what, "Keep one of them."))
            seen.setdefault(name, line)

    def _warn_where_it_looks_like_ours(self, name: str, children: Sequence[str], where: str) -> None:
        from difflib import get_close_matches

        if near := get_close_matches(name.lower(), children, n=1, cutoff=0.75):
            what = f"the block {name} is none of chatstore's and is left alone."
            self._source.problems.append(Problem(where, what, f"Did you mean {near[0]}?", serious=False))


# --- environment and .env --------------------------------------------------------------------------------------------


def read_environment(variables: Mapping[str, str], keys: Sequence[str], label: str) -> Source:
    """The values of CHATSTORE_URI, CHATSTORE_DATABASE and CHATSTORE_<SECTION>__<KEY>. An empty variable is unset."""
    source = Source()
    for name, value in variables.items():
        if not name.startswith(PREFIX) or not value or name in OTHER_NAMES or name in SHORT_NAMES:
            continue
        key = name.removeprefix(PREFIX).lower().replace("__", ".")
        place = f"{label} {name}"
        if key in keys:
            source.values[key] = SourcedValue(value, place)
        elif "." in key:
            known = [PREFIX + known_key.upper().replace(".", "__") for known_key in keys]
            source.problems.append(_unknown_variable(name, known, place, serious=True))
        else:
            known = [*SHORT_NAMES, *OTHER_NAMES]
            source.problems.append(_unknown_variable(name, known, place, serious=False))
    for name, key in SHORT_NAMES.items():
        if variables.get(name):
            source.values[key] = SourcedValue(variables[name], f"{label} {name}")
    return source


def _unknown_variable(name: str, known: Sequence[str], place: str, *, serious: bool) -> Problem:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "A setting is CHATSTORE_<SECTION>__<KEY>; see chatstore config show."
    return Problem(place, "no setting has this name.", hint, serious)


def read_env_file(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """The variables of a `.env` file, and the lines that are none. Raises BadConfig where it cannot be read."""
    import io

    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadConfig(where=str(path), what=f"cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise BadConfig(where=f"{path}:{line}", what="not UTF-8.") from error
    bindings = list(parse_stream(io.StringIO(text)))
    torn = [binding.original for binding in bindings if binding.error]
    problems = [
        Problem(f"{path}:{line.line}", "not NAME=value; the line is passed over.", serious=False) for line in torn
    ]
    whole = "".join(binding.original.string for binding in bindings if not binding.error)
    values = dotenv_values(stream=io.StringIO(whole))
    return {name: value for name, value in values.items() if value is not None}, problems


# --- ${VAR} ----------------------------------------------------------------------------------------------------------


class ExpansionError(ValueError):
    """Why a text with `${` in it could not be expanded."""


def expand(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its variables put in, and the names of those that gave something. Raises ExpansionError.

    As in a POSIX shell: `${VAR}`, `${VAR:-default}` where empty counts as unset, `${VAR-default}` where it does not. A
    default may hold variables itself, and is looked at only where it is needed; what a variable holds is not expanded
    again. A bare `$` is a dollar sign, so that passwords stay what they are, and `$${` is a literal `${`.
    """
    used: list[str] = []
    expanded, _ = _expand(text, 0, variables, used, nested=False)
    return expanded, used


def _expand(text: str, at: int, variables: Mapping[str, str], used: list[str], *, nested: bool) -> tuple[str, int]:
    pieces = []
    while at < len(text):
        if text.startswith("$${", at):
            pieces.append("${")
            at += 3
        elif text.startswith("${", at):
            piece, at = _variable(text, at + 2, variables, used)
            pieces.append(piece)
        elif nested and text[at] == "}":
            return "".join(pieces), at
        else:
            pieces.append(text[at])
            at += 1
    if nested:
        raise ExpansionError("a ${ is never closed by }")
    return "".join(pieces), at


def _variable(text: str, at: int, variables: Mapping[str, str], used: list[str]) -> tuple[str, int]:
    match = _VARIABLE.match(text, at)
    if match is None:
        raise ExpansionError("after ${ comes no name of a variable (a literal ${ is written $${)")
    name, at = match[0], match.end()
    value = variables.get(name)
    operator = next((sign for sign in (":-", "-") if text.startswith(sign, at)), "")
    if not operator:
        if not text.startswith("}", at):
            raise ExpansionError(f"after ${{{name} comes neither }} nor :-default}}")
        if value is None:
            raise ExpansionError(f"the variable {name} is not set, and there is no ${{{name}:-default}}")
        used.append(name)
        return value, at + 1
    wanted = value is None or (operator == ":-" and not value)
    if wanted:
        default, at = _expand(text, at + len(operator), variables, used, nested=True)
        return default, at + 1
    used.append(name)
    _, at = _expand(text, at + len(operator), _EveryVariableSet(), [], nested=True)
    return value or "", at + 1


class _EveryVariableSet(dict[str, str]):
    """Knows every variable: to find the end of a default that is not needed."""

    def get(self, key: str, default: Any = None) -> Any:
        return ""

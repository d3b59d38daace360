"""The sources of settings: configuration files, the environment and `.env`. Each returns values by dotted key.

settings.py defines the keys, and values.py the values they accept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore_cli.core.regular_files import read_regular
from chatstore_cli.domain.errors import BadConfig

if TYPE_CHECKING:
    import yaml

PREFIX = "CHATSTORE_"
SHORT_NAMES = {"CHATSTORE_URI": "mongo.uri", "CHATSTORE_DATABASE": "mongo.database"}
OTHER_NAMES = ("CHATSTORE_CONFIG", "CHATSTORE_PROFILE", "CHATSTORE_MONGOD", "CHATSTORE_REQUIRE_MONGOD")
"""Variables of chatstore that are not settings."""

DEFAULTS = {
    "mongo.uri": "${MONGO_URI:-${MONGODB_URI:-embedded}}",
    "mongo.database": "${MONGO_DB:-chatstore}",
    "mongo.chat_collection": "${MONGO_CHAT_COLLECTION:-chat_messages}",
}
"""The defaults with variables of the environment or `.env`: those of config.example.yaml, with or without a file."""

_VARIABLE_SIGN = " $"


class SourcedValue(NamedTuple):
    """One value with its source, such as `config.yaml:3`, `environment CHATSTORE_URI` or `--uri`.

    If it `expands`, `${VAR}` in it is replaced. Only values of files do: a shell has expanded the others already.
    """

    value: Any
    source: str
    expands: bool = False


class Problem(NamedTuple):
    """A problem of the configuration: its place, what is wrong, what to do. A `serious` one stops every command."""

    where: str
    what: str
    hint: str | None = None
    serious: bool = True


@dataclass
class Source:
    """The values of one source by dotted key, with its problems. `file` is its path if it is a file."""

    values: dict[str, SourcedValue] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    file: Path | None = None


def with_variables(source: str, names: Iterable[str]) -> str:
    """The name of a source with the variables that a value of it contains: `config.yaml:3 $MONGO_URI`."""
    return source + "".join(f"{_VARIABLE_SIGN}{name}" for name in dict.fromkeys(names))


def has_variables(source: str) -> bool:
    """Whether the value of this source contains the value of a variable."""
    return _VARIABLE_SIGN in source


# --- files -----------------------------------------------------------------------------------------------------------


def read_file(path: Path, label: str, keys: Sequence[str]) -> Source:
    """The values of a YAML file for the keys. Top-level blocks without any of the keys are not constructed.

    Raises BadConfig with file and line if the file cannot be read or is not a YAML mapping.
    """
    try:
        raw = read_regular(path)
    except OSError as error:
        raise BadConfig(where=label, what=f"cannot be read: {error.strerror}.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadConfig(where=f"{label}:{line}", what=f"not UTF-8 (byte 0x{raw[error.start]:02x}).") from error
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
            raise BadConfig(where=f"{label}:{line}", what="not a mapping of settings such as `mongo:`.")
        _BlockReader(loader, label, keys, source).read(root, "")
    except (yaml.YAMLError, RecursionError) as error:
        line = _line_of(error, text)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise BadConfig(where=f"{label}:{line}", what=f"not YAML: {reason}.") from error
    return source


def _line_of(error: Exception, text: str) -> int:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", None)  # of a character that YAML does not allow
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


class _BlockReader:
    """Reads the blocks of settings in a YAML document, with the line of each value."""

    def __init__(self, loader: Any, label: str, keys: Sequence[str], source: Source) -> None:
        self._loader = loader
        self._label = label
        self._keys = keys
        self._source = source

    def read(self, node: yaml.MappingNode, prefix: str) -> None:
        below = (key.removeprefix(prefix) for key in self._keys if key.startswith(prefix))
        children = list(dict.fromkeys(key.partition(".")[0] for key in below))
        self._report_duplicates(node, prefix, children)
        self._loader.flatten_mapping(node)  # `<<` merges the values of another block
        for name_node, value_node in node.value:
            where = f"{self._label}:{name_node.start_mark.line + 1}"
            name = str(name_node.value)
            if name in children:
                self._child(f"{prefix}{name}", value_node, where)
            elif prefix:
                hint = _suggestion(name.lower(), children) or f"Known names: {', '.join(children)}."
                self._source.problems.append(Problem(where, f"unknown setting {prefix.rstrip('.')}: {name}.", hint))
            elif suggestion := _suggestion(name.lower(), children, cutoff=0.75):
                what = f"the block {name} is unknown and is ignored."
                self._source.problems.append(Problem(where, what, suggestion, serious=False))

    def _child(self, key: str, node: yaml.Node, where: str) -> None:
        import yaml

        if key not in self._keys:
            if isinstance(node, yaml.MappingNode):
                self.read(node, f"{key}.")
            elif self._value(node, where) is not None:  # without a value, all settings of the block are commented out
                self._source.problems.append(Problem(where, f"{key} must be a block of settings."))
            return
        self._source.values[key] = SourcedValue(self._value(node, where), where, expands=True)

    def _value(self, node: yaml.Node, where: str) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (ValueError, TypeError, OverflowError) as error:  # such as the date 2026-13-45
            raise BadConfig(where=where, what=f"not YAML: {error}.") from error

    def _report_duplicates(self, node: yaml.MappingNode, prefix: str, children: Sequence[str]) -> None:
        seen: dict[str, int] = {}
        for name_node, _ in node.value:
            name, line = str(name_node.value), name_node.start_mark.line + 1
            if name in seen and name in children:
                what = f"{prefix}{name} is set twice, in lines {seen[name]} and {line}."
                self._source.problems.append(Problem(f"{self._label}:{line}", what, "Keep one of them."))
            seen.setdefault(name, line)


# --- environment and .env --------------------------------------------------------------------------------------------


def read_environment(variables: Mapping[str, str], keys: Sequence[str], label: str) -> Source:
    """The values of CHATSTORE_URI, CHATSTORE_DATABASE and CHATSTORE_<SECTION>__<KEY>. An empty variable counts as unset."""
    source = Source()
    for name, value in variables.items():
        if not name.startswith(PREFIX) or not value or name in OTHER_NAMES or name in SHORT_NAMES:
            continue
        key = name.removeprefix(PREFIX).lower().replace("__", ".")
        where = f"{label} {name}"
        if key in keys:
            source.values[key] = SourcedValue(value, where)
        else:
            settings = [PREFIX + known_key.upper().replace(".", "__") for known_key in keys]
            hint = _suggestion(name, settings if "." in key else [*SHORT_NAMES, *OTHER_NAMES])
            hint = (
                hint
                or "The variable of a setting is CHATSTORE_<SECTION>__<KEY>. To list the settings: chatstore config show"
            )
            source.problems.append(Problem(where, "no setting has this name.", hint, serious="." in key))
    for name, key in SHORT_NAMES.items():
        if variables.get(name):
            source.values[key] = SourcedValue(variables[name], f"{label} {name}")
    return source


def _suggestion(name: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    from difflib import get_close_matches

    similar = get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"Did you mean {similar[0]}?" if similar else None


def read_env_file(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """The variables of a `.env` file, and a problem for each invalid line. Raises BadConfig if it cannot be read."""
    import io

    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        raw = read_regular(path)
    except OSError as error:
        raise BadConfig(where=str(path), what=f"cannot be read: {error.strerror}.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadConfig(where=f"{path}:{line}", what="not UTF-8.") from error
    bindings = list(parse_stream(io.StringIO(text, newline=None)))
    invalid = [binding.original for binding in bindings if binding.error]
    problems = [
        Problem(f"{path}:{line.line}", "not NAME=value; the line is ignored.", serious=False) for line in invalid
    ]
    valid = "".join(binding.original.string for binding in bindings if not binding.error)
    values = dotenv_values(stream=io.StringIO(valid))
    return {name: value for name, value in values.items() if value is not None}, problems

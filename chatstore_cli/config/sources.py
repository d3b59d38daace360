"""The sources of settings: the environment and `.env` here, configuration files in yaml_file.py.

Each returns values by dotted key.
settings.py defines the keys, and values.py the values they accept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from chatstore_cli.config.expansion import MAX_LENGTH
from chatstore_cli.core.regular_files import regular_stream
from chatstore_cli.domain.errors import BadConfig

PREFIX = "CHATSTORE_"
SHORT_NAMES = {"CHATSTORE_URI": "mongo.uri", "CHATSTORE_DATABASE": "mongo.database"}
OTHER_NAMES = (
    "CHATSTORE_CONFIG",
    "CHATSTORE_PROFILE",
    "CHATSTORE_MONGOD",
    "CHATSTORE_REQUIRE_MONGOD",
    "CHATSTORE_REQUIRE_POSTGRES",
)
"""Variables of chatstore that are not settings."""

DEFAULTS = {
    "mongo.uri": "${MONGO_URI:-${MONGODB_URI:-embedded}}",
    "mongo.database": "${MONGO_DB:-chatstore}",
    "mongo.chat_collection": "${MONGO_CHAT_COLLECTION:-chat_messages}",
}
"""The defaults with variables of the environment or `.env`: those of config.example.yaml, with or without a file."""

_VARIABLE_SIGN = " $"
_REFERENCE = re.compile(r"\$\{([^}:]*)")
_LONGEST_NAME = 200
MAX_FILE_BYTES = 1024 * 1024
"""A configuration file or `.env` of more bytes is not read."""


class SourcedValue(NamedTuple):
    """One value with its source, such as `config.yaml:3`, `environment CHATSTORE_URI` or `--uri`.

    If it `expands`, `${VAR}` in it is replaced. Only values of files do: a shell has expanded the others already.
    """

    value: Any
    source: str
    expands: bool = False


class Problem(NamedTuple):
    """A problem of the configuration: its place, what is wrong, what to do. A `serious` one stops every command.

    `unset_variable`: whether a variable of the environment is missing, which another machine may have.
    """

    where: str
    what: str
    hint: str | None = None
    serious: bool = True
    unset_variable: bool = False


@dataclass
class Source:
    """The values of one source by dotted key, with its problems. A file has its path, and its profiles by name."""

    values: dict[str, SourcedValue] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    file: Path | None = None
    profiles: dict[str, Source] = field(default_factory=dict)


def with_variables(source: str, names: Iterable[str]) -> str:
    """The name of a source with the variables that a value of it contains: `config.yaml:3 $MONGO_URI`."""
    return source + "".join(f"{_VARIABLE_SIGN}{name}" for name in dict.fromkeys(names))


def has_variables(source: str) -> bool:
    """Whether the value of this source contains the value of a variable."""
    return _VARIABLE_SIGN in source


# --- environment and .env --------------------------------------------------------------------------------------------


def variable_of(key: str) -> str:
    """The environment variable of a setting: CHATSTORE_<SECTION>__<KEY>. The block `chatstore` is the prefix itself."""
    return PREFIX + key.removeprefix("chatstore.").upper().replace(".", "__")


def read_environment(variables: Mapping[str, str], keys: Sequence[str], label: str) -> Source:
    """The values of CHATSTORE_URI, CHATSTORE_DATABASE and the variables of settings. An empty variable counts as unset."""
    source = Source()
    key_of = {variable_of(key): key for key in keys}
    for name, value in variables.items():
        if not name.startswith(PREFIX) or not value or name in OTHER_NAMES or name in SHORT_NAMES:
            continue
        where = f"{label} {name}"
        key = key_of.get(name.upper())
        if key is not None:
            source.values[key] = SourcedValue(value, where)
        else:
            names_section = "__" in name
            hint = suggestion(name, [*key_of] if names_section else [*SHORT_NAMES, *OTHER_NAMES])
            hint = (
                hint
                or "The variable of a setting is CHATSTORE_<SECTION>__<KEY>. To list the settings: chatstore config show"
            )
            source.problems.append(Problem(where, "no setting has this name.", hint, serious=names_section))
    for name, key in SHORT_NAMES.items():
        if variables.get(name):
            source.values[key] = SourcedValue(variables[name], f"{label} {name}")
    return source


def suggestion(name: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    """A hint with the known name that is most similar, if one is."""
    from difflib import get_close_matches

    if len(name) > _LONGEST_NAME:
        return None
    similar = get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"Did you mean {similar[0]}?" if similar else None


def read_text(path: Path, label: str) -> str:
    """The text of a configuration file. Raises BadConfig if it cannot be read, is too large or is not UTF-8."""
    try:
        with regular_stream(path) as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadConfig(where=label, what=f"cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise BadConfig(where=label, what=f"the file has more than {MAX_FILE_BYTES:,} bytes.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadConfig(where=f"{label}:{line}", what=f"not UTF-8 (byte 0x{raw[error.start]:02x}).") from error


def _check_expanded_length(label: str, values: Mapping[str, str | None]) -> None:
    """Raise BadConfig if the variables of a `.env` file, which may contain each other, would be too long."""
    lengths: dict[str, int] = {}
    for name, value in values.items():
        named = (match[1] for match in _REFERENCE.finditer(value or ""))
        length = len(value or "") + sum(lengths.get(each) or len(os.environ.get(each, "")) for each in named)
        if length > MAX_LENGTH:
            raise BadConfig(where=label, what=f"{name} has more than {MAX_LENGTH:,} characters with its variables.")
        lengths[name] = max(length, lengths.get(name, 0))


def read_own_env_file() -> tuple[dict[str, str], list[Problem]]:
    """The variables of `.env` in the working folder, and its problems. It need not exist."""
    path = Path(".env")
    if not path.exists() or path.is_dir():  # a folder may be a virtual environment
        return {}, []
    return read_env_file(path)


def read_env_file(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """The variables of a `.env` file, and a problem for each invalid line. Raises BadConfig if it cannot be read."""
    import io

    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    text = read_text(path, str(path))
    bindings = list(parse_stream(io.StringIO(text, newline=None)))
    invalid = [binding.original for binding in bindings if binding.error]
    problems = [
        Problem(f"{path}:{line.line}", "not NAME=value; the line is ignored.", serious=False) for line in invalid
    ]
    valid = "".join(binding.original.string for binding in bindings if not binding.error)
    _check_expanded_length(str(path), dotenv_values(stream=io.StringIO(valid), interpolate=False))
    values = dotenv_values(stream=io.StringIO(valid))
    return {name: value for name, value in values.items() if value is not None}, problems

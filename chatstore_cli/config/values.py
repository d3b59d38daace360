"""Which values the settings take: their types, and the rules that hold whatever way a value came."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

from chatstore_cli.domain.secrets import masked

LONGEST_TTL_DAYS = 24_855
"""The server counts expireAfterSeconds in 32 bits."""

_PATHS = ("mongo.cache.disk_path", "mongo.embedded.data_dir", "mongo.embedded.runtime_dir", "state.folder")
_SCHEMES = ("mongodb://", "mongodb+srv://", "mongomock://")
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text (put it in quotes)"}


class Rule(NamedTuple):
    """What the value of one setting must be like, whatever way it came."""

    holds: Callable[[Any], bool]
    expected: str


def _is_uri(uri: str) -> bool:
    """Nothing that a password might be hidden in the wrong part of: it would be shown as a host, an option, a database."""
    if uri == "embedded" or not uri.startswith(_SCHEMES):
        return uri == "embedded"
    behind_hosts = re.split(r"[/?]", uri.partition("://")[2], maxsplit=1)[1:]
    return not re.search(r"\s", uri) and "@" not in "".join(behind_hosts)


def _is_collection(name: str | None) -> bool:
    return name is None or (0 < len(name.encode()) <= 200 and not re.search(r"[$\0]|^system\.|^\.|\.$", name))


_COLLECTION = Rule(_is_collection, "a collection's name (no $, not system.*, no dot at either end)")
_PATH = Rule(lambda path: path is None or (bool(path.strip()) and "\0" not in path), "a path")
_SECONDS = Rule(lambda seconds: 0 < seconds <= 3600, "a number of seconds above 0, up to 3600")
_URL_PATH = Rule(lambda path: path.startswith("/") and not re.search(r"\s", path), "a path that begins with /")
_FIELD = Rule(lambda name: bool(name.strip()), "the name of a field")
RULES: dict[str, Rule] = {
    "mongo.uri": Rule(
        _is_uri,
        "`embedded`, mongomock://, or a URI with mongodb:// or mongodb+srv:// in which user, password and options are "
        "percent-encoded (@ is %40, / is %2F, ? is %3F)",
    ),
    "mongo.database": Rule(
        lambda name: 0 < len(name.encode()) < 64 and not re.search(r'[/\\. "$\0]', name),
        "a database's name (1 to 63 bytes, none of / \\ . \" $ and space)",
    ),
    "mongo.chat_collection": _COLLECTION,
    "mongo.session_collection": _COLLECTION,
    "mongo.ttl_days": Rule(
        lambda days: 0 <= days <= LONGEST_TTL_DAYS, f"a number of days from 0 (for ever) to {LONGEST_TTL_DAYS}"
    ),
    "mongo.timeout_seconds": _SECONDS,
    "mongo.write_concern": Rule(
        lambda concern: bool(concern.strip()), "`majority`, a number of nodes, or a tag's name"
    ),
    "mongo.cache.max_messages_per_session": Rule(lambda count: count >= 1, "1 or more"),
    "mongo.cache.fsync": Rule(lambda policy: policy in ("never", "interval", "always"), "never, interval or always"),
    "mongo.worker.batch_size": Rule(lambda size: 1 <= size <= 10_000, "from 1 to 10000"),
    "mongo.worker.interval_seconds": _SECONDS,
    "layouts.workflow.sessions": _COLLECTION,
    "layouts.workflow.segments": _COLLECTION,
    "layouts.workflow.usage": _COLLECTION,
    "layouts.workflow.usage_rollups": _COLLECTION,
    "layouts.workflow.segment_messages": Rule(
        lambda count: count is None or 10 <= count <= 100_000, "from 10 to 100000, or null"
    ),
    "layouts.messages.messages": _COLLECTION,
    "verify.sample": Rule(lambda size: 1 <= size <= 100_000, "from 1 to 100000"),
    "verify.seconds_per_check": _SECONDS,
    **dict.fromkeys((f"verify.application.{name}_path" for name in ("chat", "status", "history", "ws")), _URL_PATH),
    **dict.fromkeys((f"verify.application.{name}_key" for name in ("message", "session")), _FIELD),
    "verify.application.deadline_seconds": _SECONDS,
    **dict.fromkeys(_PATHS, _PATH),
}


def checked(key: str, value: Any, wanted: Any) -> Any:
    """The value as its setting takes it: of the wanted type, `~` made the home folder, within its rule.

    Raises ValueError that says what is expected.
    """
    value = _of_type(value, wanted)
    if key in _PATHS and isinstance(value, str) and value.startswith("~"):
        try:
            value = str(Path(value).expanduser())
        except RuntimeError as error:
            raise ValueError("in the home folder of a user whom this machine knows") from error
    rule = RULES.get(key)
    if rule is not None and not rule.holds(value):
        raise ValueError(rule.expected)
    return value


def shown(key: str, value: Any) -> str:
    """A wrong value as an error may show it: never a URI, which may hold a password in any wrong form."""
    return "its value" if key == "mongo.uri" else masked(repr(value))[:80]


def _of_type(value: Any, wanted: Any) -> Any:
    """The value as the type, by the short way where it has it already. Raises ValueError saying what is expected."""
    optional = not isinstance(wanted, type)
    plain: type = next(kind for kind in get_args(wanted) if kind is not type(None)) if optional else wanted
    if type(value) is plain or (value is None and optional):
        return value
    if plain is float and type(value) is int:
        return float(value)
    if plain is str and type(value) is int:
        return str(value)  # a collection, a database or a write concern of digits: YAML took it for a number
    if isinstance(value, bool):
        raise ValueError(_EXPECTED[plain])
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(wanted).validate_python(value)
    except ValidationError as error:
        raise ValueError(_EXPECTED[plain]) from error

"""The values that settings accept: their types, and rules that hold for values of every source."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

from chatstore_cli.config.uris import flaw_of_postgres_uri, flaw_of_uri
from chatstore_cli.domain.field_mapping import EXPECTED, FieldMapping
from chatstore_cli.domain.secrets import masked

MAX_TTL_DAYS = 24_855
"""The server's expireAfterSeconds has 32 bits."""

_PATHS = (
    "mongo.cache.disk_path",
    "mongo.embedded.data_dir",
    "mongo.embedded.runtime_dir",
    "state.folder",
    "chatstore.usage.prices_file",
)
SECRETS = ("mongo.uri", "chatstore.threads.uri", "chatstore.server.responder_key")
"""Settings whose value may have a password."""
_MAX_BITS_SHOWN = 256
"""A larger whole number may have too many digits for Python to print it, and be too large for a float."""

_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text (put it in quotes)"}


class Rule(NamedTuple):
    """The rule for the value of one setting, and a description of valid values."""

    holds: Callable[[Any], bool]
    expected: str


def _is_collection(name: str | None) -> bool:
    return name is None or (0 < len(name.encode()) <= 200 and not re.search(r"[$\0]|^system\.|^\.|\.$", name))


def _is_mapping(text: str) -> bool:
    try:
        FieldMapping(text)
    except ValueError:
        return False
    return True


def _is_function(name: str) -> bool:
    return re.fullmatch(r"[\w.]+:\w+", name) is not None


def _each(names: str, pattern: str) -> bool:
    """Whether every name of a list with commas matches the pattern, whatever its case."""
    return all(re.fullmatch(pattern, name.strip(), re.IGNORECASE) for name in names.split(",") if name.strip())


_COLLECTION = Rule(_is_collection, "a collection's name (without $, not system.*, no dot at either end)")
_PATH = Rule(lambda path: path is None or (bool(path.strip()) and "\0" not in path), "a path")
_SECONDS = Rule(lambda seconds: 0 < seconds <= 3600, "a number of seconds above 0, up to 3600")
_URL_PATH = Rule(lambda path: path.startswith("/") and not re.search(r"\s", path), "a path that begins with /")
_FIELD = Rule(lambda name: bool(name.strip()), "the name of a field")


def _flaw_of_backend(name: str) -> str | None:
    """What the backend of commands is not, for an error message; None if commands can use it."""
    return {
        "mongodb": None,
        "postgresql": None,
        "mock": "a backend for commands: its threads exist only in the memory of one process; use mongodb or postgresql",
    }.get(name, "a backend that commands can use: mongodb or postgresql")


def _flaw_of_postgres_uri(uri: str | None) -> str | None:
    return None if uri is None else flaw_of_postgres_uri(uri)


def _flaw_of_zone(name: str) -> str | None:
    from chatstore_cli.config.time_zones import time_zone

    try:
        time_zone(name)
    except ValueError:
        return "the name of a time zone, such as Europe/Berlin"
    return None


_FLAWS: dict[str, Callable[[Any], str | None]] = {
    "mongo.uri": flaw_of_uri,
    "chatstore.threads.backend": _flaw_of_backend,
    "chatstore.threads.uri": _flaw_of_postgres_uri,
    "chatstore.timezone": _flaw_of_zone,
}
"""Settings whose wrong values have different descriptions."""
RULES: dict[str, Rule] = {
    "mongo.database": Rule(
        lambda name: 0 < len(name.encode()) < 64 and not re.search(r'[/\\. "$\0]', name),
        "a database's name (1 to 63 bytes without / \\ . \" $ and space)",
    ),
    "mongo.chat_collection": _COLLECTION,
    "mongo.session_collection": _COLLECTION,
    "mongo.ttl_days": Rule(
        lambda days: 0 <= days <= MAX_TTL_DAYS, f"a number of days from 0 (keep forever) to {MAX_TTL_DAYS}"
    ),
    "mongo.timeout_seconds": _SECONDS,
    "mongo.write_concern": Rule(
        lambda concern: bool(concern.strip()), "`majority`, a number of nodes, or a tag's name"
    ),
    "mongo.cache.max_messages_per_session": Rule(lambda count: count >= 1, "1 or more"),
    "mongo.cache.fsync": Rule(lambda policy: policy in ("never", "interval", "always"), "never, interval or always"),
    "mongo.cache.mapping": Rule(lambda text: text is None or _is_mapping(text), EXPECTED),
    "mongo.worker.batch_size": Rule(lambda size: 1 <= size <= 10_000, "from 1 to 10000"),
    "mongo.worker.interval_seconds": _SECONDS,
    "layouts.workflow.sessions": _COLLECTION,
    "layouts.workflow.segments": _COLLECTION,
    "layouts.workflow.usage": _COLLECTION,
    "layouts.workflow.usage_rollups": _COLLECTION,
    "layouts.workflow.usage_exports": _COLLECTION,
    "layouts.workflow.segment_messages": Rule(
        lambda count: count is None or 10 <= count <= 100_000, "from 10 to 100000, or null"
    ),
    "layouts.messages.messages": _COLLECTION,
    "layouts.threads.threads": _COLLECTION,
    "layouts.threads.messages": _COLLECTION,
    **{
        f"layouts.general.{name}": _COLLECTION
        for name in ("sessions", "counters", "segments", "registry", "stats", "artifacts", "workflow_sessions")
    },
    **{
        f"chatstore.agents.{name}": _COLLECTION
        for name in (
            "collection",
            "versions",
            "transcripts",
            "bindings",
            "call_sessions",
            "states",
            "sessions",
            "messages",
        )
    },
    "chatstore.agents.default_agent": Rule(
        lambda agent_id: agent_id is None or re.fullmatch("[0-9a-fA-F]{24}", agent_id) is not None,
        "the id of an agent (24 hexadecimal digits), or null",
    ),
    "chatstore.registry.keep_days": Rule(
        lambda days: 1 <= days <= MAX_TTL_DAYS, f"a number of days from 1 to {MAX_TTL_DAYS}"
    ),
    "chatstore.registry.prerequisites": Rule(
        lambda name: name is None or _is_function(name), "a function: module:function"
    ),
    "chatstore.usage.currency": Rule(
        lambda code: re.fullmatch("[A-Z]{3}", code) is not None, "a currency: three capital letters, such as USD"
    ),
    "chatstore.server.host": Rule(lambda host: bool(host.strip()), "an address or a name of this machine"),
    "chatstore.server.port": Rule(lambda port: 0 <= port <= 65535, "a port from 0 (any free one) to 65535"),
    "chatstore.server.allowed_hosts": Rule(
        lambda names: _each(names, r"\*|[\w.-]+|\[?[\da-f:.]+\]?"), "names of hosts without ports, with commas; or *"
    ),
    "chatstore.server.cors_origins": Rule(
        lambda origins: _each(origins, r"\*|[a-z][a-z\d+.-]*://[^\s/]+/?|null"),
        "origins such as https://chat.example, with commas and without paths; or *",
    ),
    "chatstore.server.responder": Rule(
        lambda name: name in ("echo", "openai") or _is_function(name), "echo, openai, or a function: module:function"
    ),
    "chatstore.server.responder_url": Rule(
        lambda url: url is None or re.fullmatch(r"https?://[^\s/]\S*", url) is not None, "a URL: http:// or https://"
    ),
    "chatstore.server.dispatch": Rule(
        lambda name: name is None or _is_function(name), "a function: module:function, or null"
    ),
    "chatstore.server.responder_seconds": _SECONDS,
    "chatstore.server.dispatch_seconds": _SECONDS,
    "chatstore.server.read_seconds": _SECONDS,
    "chatstore.server.read_threads": Rule(lambda count: 1 <= count <= 1_000, "from 1 to 1000"),
    "chatstore.server.body_bytes": Rule(lambda size: 1_000 <= size <= 1_000_000_000, "from 1000 to 1000000000"),
    "chatstore.server.requests_per_minute": Rule(
        lambda count: 0 <= count <= 10_000_000, "from 0 (no limit) to 10000000"
    ),
    "chatstore.server.sockets": Rule(lambda count: 1 <= count <= 100_000, "from 1 to 100000"),
    "chatstore.server.chat_start_seconds": Rule(lambda seconds: 0 <= seconds <= 86_400, "from 0 to 86400"),
    "chatstore.server.audit": _COLLECTION,
    "verify.sample": Rule(lambda size: 1 <= size <= 100_000, "from 1 to 100000"),
    "verify.seconds_per_check": _SECONDS,
    **dict.fromkeys((f"verify.application.{name}_path" for name in ("chat", "status", "history", "ws")), _URL_PATH),
    **dict.fromkeys((f"verify.application.{name}_key" for name in ("message", "session")), _FIELD),
    "verify.application.deadline_seconds": _SECONDS,
    **dict.fromkeys(_PATHS, _PATH),
}


def validated(key: str, value: Any, expected_type: Any) -> Any:
    """The value converted to the type of its setting, with `~` as the home folder.

    Raises ValueError with a description of valid values if it breaks the rule of its setting.
    """
    value = _converted(value, expected_type)
    if key in _PATHS and isinstance(value, str) and value.startswith("~"):
        try:
            value = str(Path(value).expanduser())
        except RuntimeError as error:
            raise ValueError("a path in the home folder of a user of this machine") from error
    if key in _FLAWS and (flaw := _FLAWS[key](value)) is not None:
        raise ValueError(flaw)
    rule = RULES.get(key)
    if rule is not None and not rule.holds(value):
        raise ValueError(rule.expected)
    return value


def displayed(key: str, value: Any) -> str:
    """An invalid value for an error message. A URI is not shown: it may have a password in any invalid form."""
    if key in SECRETS:
        return "its value"
    is_long = isinstance(value, int) and value.bit_length() > _MAX_BITS_SHOWN
    return "a number of that size" if is_long else masked(repr(value))[:80]


def _converted(value: Any, expected_type: Any) -> Any:
    """The value as the expected type. Raises ValueError with a description of valid values."""
    optional = not isinstance(expected_type, type)
    plain: type = (
        next(kind for kind in get_args(expected_type) if kind is not type(None)) if optional else expected_type
    )
    if type(value) is plain or (value is None and optional):
        return value
    if plain is float and type(value) is int and value.bit_length() <= _MAX_BITS_SHOWN:
        return float(value)
    if plain is str and type(value) is int and value.bit_length() <= _MAX_BITS_SHOWN:
        return str(value)  # YAML reads a collection, database or write concern of digits as a number
    if isinstance(value, bool):
        raise ValueError(_EXPECTED[plain])
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(expected_type).validate_python(value)
    except (ValidationError, OverflowError) as error:
        raise ValueError(_EXPECTED[plain]) from error

"""Settings: what they are, which values they take, and which of their sources wins.

The settings are plain frozen dataclasses: an ordinary start must not pay the 0.1 s that importing pydantic costs. Only
a value whose type is not exactly right (a number out of the environment, say) is read by a pydantic TypeAdapter over
the field's own type; the rules for what a value may be hold on both ways.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from chatstore_cli.config.sources import (
    ExpansionError,
    Problem,
    Source,
    SourcedValue,
    expand,
    read_env_file,
    read_environment,
    read_file,
)
from chatstore_cli.config.values import checked, shown
from chatstore_cli.domain.checked_application import ApplicationSettings
from chatstore_cli.domain.errors import BadConfig, BadValue


@dataclass(frozen=True)
class CacheSettings:
    """The local cache: journals on disk, newest messages in memory."""

    max_messages_per_session: int = 75
    disk_path: str = "data/cache/chat_sessions"
    fsync: str = "never"


@dataclass(frozen=True)
class WorkerSettings:
    """The worker that stores what the cache recorded."""

    batch_size: int = 100
    interval_seconds: float = 1.0


@dataclass(frozen=True)
class EmbeddedSettings:
    """The embedded MongoDB; None is the platform's own folder."""

    data_dir: str | None = None
    runtime_dir: str | None = None


@dataclass(frozen=True)
class MongoSettings:
    """The database and what is written there."""

    enabled: bool = True
    uri: str = field(default="embedded", repr=False)  # a password may be in it
    database: str = "chatstore"
    chat_collection: str = "chat_messages"
    session_collection: str = "chat_sessions"
    ttl_days: int = 30
    timeout_seconds: float = 10.0
    write_concern: str = "majority"
    journaled: bool = True
    cache: CacheSettings = field(default_factory=CacheSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)


@dataclass(frozen=True)
class WorkflowCollections:
    """Collections of the workflow layout; None takes `mongo.session_collection`.

    `segment_messages`: a document that has somewhat more has so many of its oldest moved into a segment; None: none are
    moved before the document would pass 12 MiB.
    """

    sessions: str | None = None
    segments: str = "chat_session_segments"
    segment_messages: int | None = None
    usage: str = "usage_events"
    usage_rollups: str = "usage_daily"


@dataclass(frozen=True)
class MessagesCollections:
    """Collections of the messages layout; None takes `mongo.chat_collection`."""

    messages: str | None = None


@dataclass(frozen=True)
class LayoutSettings:
    """Collection names, by layout."""

    workflow: WorkflowCollections = field(default_factory=WorkflowCollections)
    messages: MessagesCollections = field(default_factory=MessagesCollections)


@dataclass(frozen=True)
class StateSettings:
    """Where ledgers, quarantine and logs go where a journal folder cannot be written; None is the platform's folder."""

    folder: str | None = None


@dataclass(frozen=True)
class VerifySettings:
    """Bounds of the checks that scan, and the application's own interface."""

    sample: int = 200
    seconds_per_check: float = 5.0
    application: ApplicationSettings = field(default_factory=ApplicationSettings)


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, validated."""

    mongo: MongoSettings = field(default_factory=MongoSettings)
    layouts: LayoutSettings = field(default_factory=LayoutSettings)
    state: StateSettings = field(default_factory=StateSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)

    @property
    def messages_collection(self) -> str:
        """Where flat messages are."""
        return self.layouts.messages.messages or self.mongo.chat_collection

    @property
    def sessions_collection(self) -> str:
        """Where workflow sessions are."""
        return self.layouts.workflow.sessions or self.mongo.session_collection


# --- loading -----------------------------------------------------------------------------------------------------------


@cache
def setting_types(section: type = Settings, prefix: str = "") -> Mapping[str, Any]:
    """Every setting's dotted key, in order, with its type."""
    hints = get_type_hints(section)
    types: dict[str, Any] = {}
    for item in fields(section):
        hint = hints[item.name]
        if is_dataclass(hint):
            types.update(setting_types(hint, f"{prefix}{item.name}."))  # type: ignore[arg-type]  # a class, not an instance
        else:
            types[prefix + item.name] = hint
    return types


def value_of(settings: Settings, key: str) -> Any:
    """The value of one setting, by its dotted key."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


class Configuration(NamedTuple):
    """Settings with what is known about them. `sources` says for each key where its value came from."""

    settings: Settings
    sources: Mapping[str, str]
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]

    def valid(self) -> Configuration:
        """Itself. Raises BadConfig for the first serious problem."""
        serious = [problem for problem in self.problems if problem.serious]
        if serious:
            where, what, hint, _ = serious[0]
            more = f" ({len(serious) - 1} more: chatstore config check)" if len(serious) > 1 else ""
            raise BadConfig(where=where, what=what + more, hint=hint)
        return self


def load_settings(config_file: str | None, *, uri: str | None, database: str | None) -> Settings:
    """The settings in force: flags over environment over `.env` over files over defaults. Raises BadConfig."""
    return load_configuration(config_file, uri=uri, database=database).valid().settings


def load_configuration(config_file: str | None, *, uri: str | None, database: str | None) -> Configuration:
    """As load_settings, with where each value came from, and with every problem instead of an error for the first.

    Only the value that wins is looked at: an unset variable in a file matters only where nothing overrides it. Raises
    BadConfig for a file that cannot be read at all.
    """
    keys = tuple(setting_types())
    flags = Source(values=_given_flags({"mongo.uri": ("--uri", uri), "mongo.database": ("--database", database)}))
    variables: dict[str, str] = {}
    env_problems: list[Problem] = []
    if Path(".env").is_file():  # some call their virtual environment so
        variables, env_problems = read_env_file(Path(".env"))
    from_env_file = read_environment(variables, keys, ".env")
    from_environment = read_environment(os.environ, keys, "environment")
    variables |= os.environ
    named = config_file or variables.get("CHATSTORE_CONFIG") or None
    files = [read_file(path, shown, keys) for path, shown in _configuration_files(named)]
    merged: dict[str, SourcedValue] = {}
    problems = env_problems
    for source in (*reversed(files), from_env_file, from_environment, flags):
        merged |= source.values
        problems += source.problems
    values, sources = _resolve(merged, variables, problems)
    settings = _build(Settings, values, "")
    _look_at_the_whole(settings, sources, problems)
    read = tuple(source.file for source in files if source.file is not None)
    return Configuration(settings, {key: sources.get(key, "default") for key in keys}, tuple(problems), read)


def _given_flags(flags: Mapping[str, tuple[str, str | None]]) -> dict[str, SourcedValue]:
    for name, value in flags.values():
        if value == "":  # most likely an unset shell variable: going to the default database would be a surprise
            raise BadValue(name=name, value=value, expected="a value")
    return {key: SourcedValue(value, name) for key, (name, value) in flags.items() if value is not None}


def _configuration_files(named: str | None) -> Iterator[tuple[Path, str]]:
    """The files to read and how to show them, the one that wins first."""
    if named is not None:
        yield Path(named).expanduser(), named
    elif Path("config.yaml").exists():
        yield Path("config.yaml"), "config.yaml"
    users = user_file()
    if users.exists():
        yield users, str(users)


def user_file() -> Path:
    """The user's own configuration file; it need not exist."""
    import platformdirs

    return platformdirs.user_config_path("chatstore") / "config.yaml"


def _resolve(
    merged: Mapping[str, SourcedValue], variables: Mapping[str, str], problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    types = setting_types()
    for key, given in merged.items():
        value, source = given.value, given.source
        try:
            if given.expands and isinstance(value, str) and "${" in value:
                value, used = expand(value, variables)
                source += "".join(f" ${name}" for name in dict.fromkeys(used))
            value = checked(key, value, types[key])
        except ExpansionError as error:
            problems.append(Problem(given.source, f"{key}: {error}."))
        except ValueError as error:
            problems.append(Problem(given.source, f"{key}: {shown(key, value)} is not {error}."))
        else:
            values[key], sources[key] = value, source
    return values, sources


def _build(section: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(section)
    made = {}
    for item in fields(section):
        key = prefix + item.name
        if is_dataclass(hints[item.name]):
            made[item.name] = _build(hints[item.name], values, f"{key}.")
        elif key in values:
            made[item.name] = values[key]
    return section(**made)


def _look_at_the_whole(settings: Settings, sources: Mapping[str, str], problems: list[Problem]) -> None:
    """What no single value shows: two collections under one name would mix two shapes."""
    named: dict[str, str] = {}
    for key, name in (
        ("mongo.chat_collection", settings.messages_collection),
        ("mongo.session_collection", settings.sessions_collection),
        ("layouts.workflow.segments", settings.layouts.workflow.segments),
        ("layouts.workflow.usage", settings.layouts.workflow.usage),
        ("layouts.workflow.usage_rollups", settings.layouts.workflow.usage_rollups),
    ):
        if name in named:
            where = sources.get(key) or sources.get(named[name]) or "default"
            what = f"{named[name]} and {key} both name the collection {name}."
            problems.append(Problem(where, what, "Each stored shape needs a collection of its own."))
        named.setdefault(name, key)

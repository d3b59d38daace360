"""The settings, and their values from all sources.

The settings are plain frozen dataclasses, because importing pydantic costs 0.1 s at every start. Only a value of another
type, such as a number from the environment, is converted by a pydantic TypeAdapter of the field's type. The rules in
values.py hold for both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from chatstore_cli.config.expansion import ExpansionError, expand
from chatstore_cli.config.sources import (
    DEFAULTS,
    Problem,
    Source,
    SourcedValue,
    has_variables,
    read_env_file,
    read_environment,
    with_variables,
)
from chatstore_cli.config.values import displayed, validated
from chatstore_cli.domain.checked_application import ApplicationSettings
from chatstore_cli.domain.errors import BadConfig, BadValue
from chatstore_cli.domain.field_mapping import merged_mapping

TOMBSTONES = "chatstore_tombstones"
"""The collection of deleted sessions, whose name is not a setting."""


@dataclass(frozen=True)
class CacheSettings:
    """The local cache: journals on disk, and the newest messages in memory."""

    max_messages_per_session: int = 75
    disk_path: str = "data/cache/chat_sessions"
    fsync: str = "never"
    mapping: str | None = None
    """How the lines of another application's journals are read, as domain/field_mapping.py writes it."""


@dataclass(frozen=True)
class WorkerSettings:
    """The worker that stores recorded messages in MongoDB."""

    batch_size: int = 100
    interval_seconds: float = 1.0


@dataclass(frozen=True)
class EmbeddedSettings:
    """The folders of the embedded MongoDB; None is the platform's folder."""

    data_dir: str | None = None
    runtime_dir: str | None = None


@dataclass(frozen=True)
class MongoSettings:
    """The database, and how it is written."""

    enabled: bool = True
    uri: str = field(default="embedded", repr=False)  # it may have a password
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
    """Collections of the workflow layout. `sessions` None is `mongo.session_collection`.

    If a document has clearly more than `segment_messages`, that many of its oldest messages are moved into a segment.
    With None they are moved only when the document would exceed 12 MiB.
    """

    sessions: str | None = None
    segments: str = "chat_session_segments"
    segment_messages: int | None = None
    usage: str = "usage_events"
    usage_rollups: str = "usage_daily"


@dataclass(frozen=True)
class MessagesCollections:
    """Collections of the messages layout. `messages` None is `mongo.chat_collection`."""

    messages: str | None = None


@dataclass(frozen=True)
class ThreadCollections:
    """Collections of the threads layout."""

    threads: str = "chat_threads"
    messages: str = "chat_thread_messages"


@dataclass(frozen=True)
class LayoutSettings:
    """Collection names by layout."""

    workflow: WorkflowCollections = field(default_factory=WorkflowCollections)
    messages: MessagesCollections = field(default_factory=MessagesCollections)
    threads: ThreadCollections = field(default_factory=ThreadCollections)


@dataclass(frozen=True)
class StateSettings:
    """The folder of ledgers and quarantine if a journal folder is read-only; None is the platform's folder."""

    folder: str | None = None


@dataclass(frozen=True)
class VerifySettings:
    """Limits of the checks that read stored documents, and the paths of the checked application."""

    sample: int = 200
    seconds_per_check: float = 5.0
    application: ApplicationSettings = field(default_factory=ApplicationSettings)


@dataclass(frozen=True)
class Settings:
    """All settings, validated."""

    mongo: MongoSettings = field(default_factory=MongoSettings)
    layouts: LayoutSettings = field(default_factory=LayoutSettings)
    state: StateSettings = field(default_factory=StateSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)

    @property
    def messages_collection(self) -> str:
        """The collection of the messages layout."""
        return self.layouts.messages.messages or self.mongo.chat_collection

    @property
    def sessions_collection(self) -> str:
        """The collection of the workflow layout."""
        return self.layouts.workflow.sessions or self.mongo.session_collection


def with_shorter_timeout(settings: Settings, seconds: float) -> Settings:
    """The same settings, in which finding a server takes at most that many seconds."""
    mongo = replace(settings.mongo, timeout_seconds=min(settings.mongo.timeout_seconds, seconds))
    return replace(settings, mongo=mongo)


def with_mapping(configuration: Configuration, pairs: Sequence[str]) -> Configuration:
    """The same configuration with other pairs of mongo.cache.mapping, from --map. Raises BadValue."""
    settings = configuration.settings
    try:
        mapping = merged_mapping(settings.mongo.cache.mapping, pairs)
    except ValueError as error:
        raise BadValue(name="--map", value=", ".join(pairs), expected=f"a mapping: {error}") from error
    cache = replace(settings.mongo.cache, mapping=mapping)
    settings = replace(settings, mongo=replace(settings.mongo, cache=cache))
    sources = {**configuration.sources, "mongo.cache.mapping": "--map"}
    return configuration._replace(settings=settings, sources=sources)


# --- loading -----------------------------------------------------------------------------------------------------------


@cache
def setting_types(section: type = Settings, prefix: str = "") -> Mapping[str, Any]:
    """The type of every setting by its dotted key, in order."""
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
    """Settings with the source of each value, all problems, and the configuration files that were read.

    `names_server`: whether some source chose the server. If none did, it is the embedded MongoDB.
    """

    settings: Settings
    sources: Mapping[str, str]
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    names_server: bool

    def valid(self) -> Configuration:
        """The same configuration. Raises BadConfig for its first serious problem."""
        serious = [problem for problem in self.problems if problem.serious]
        if serious:
            where, what, hint, _ = serious[0]
            more = f" ({len(serious) - 1} more: chatstore config check)" if len(serious) > 1 else ""
            raise BadConfig(where=where, what=what + more, hint=hint)
        return self


def load_settings(config_file: str | None, *, uri: str | None = None, database: str | None = None) -> Settings:
    """The settings. Options win over the environment, `.env`, files and defaults, in this order. Raises BadConfig."""
    return load_configuration(config_file, uri=uri, database=database).valid().settings


def load_configuration(
    config_file: str | None, *, uri: str | None, database: str | None, timeout: float | None = None
) -> Configuration:
    """The settings with the source of each value, and with all problems instead of an error for the first one.

    Only the value that wins is checked: an unset variable in a file is a problem only if no other source overrides it.
    Raises BadConfig if a file cannot be read.
    """
    keys = tuple(setting_types())
    flags = _flag_values({"mongo.uri": ("--uri", uri), "mongo.database": ("--database", database)})
    if timeout is not None:
        flags["mongo.timeout_seconds"] = SourcedValue(timeout, "--timeout")
    variables: dict[str, str] = {}
    env_problems: list[Problem] = []
    if Path(".env").exists() and not Path(".env").is_dir():  # it may be the folder of a virtual environment
        variables, env_problems = read_env_file(Path(".env"))
    from_env_file = read_environment(variables, keys, ".env")
    from_environment = read_environment(os.environ, keys, "environment")
    variables |= os.environ
    named = config_file or variables.get("CHATSTORE_CONFIG") or None
    if named is not None and not Path(named).expanduser().exists():
        origin = "--config" if config_file else "CHATSTORE_CONFIG"
        raise BadConfig(where=named, what=f"no such file; {origin} names it.", hint=f"Correct or remove {origin}.")
    files = [_read_file(path, label, keys) for path, label in _configuration_files(named)]
    merged = {key: SourcedValue(text, "default", expands=True) for key, text in DEFAULTS.items()}
    problems = env_problems
    for source in (*reversed(files), from_env_file, from_environment, Source(values=flags)):
        merged |= source.values
        problems += source.problems
    values, sources = _resolve(merged, variables, problems)
    settings = _build(Settings, values, "")
    _check_collections_differ(settings, sources, problems)
    read = tuple(source.file for source in files if source.file is not None)
    all_sources = {key: sources.get(key, "default") for key in keys}
    # `embedded` as it stands in a source was chosen, but not the `embedded` to which `${MONGO_URI:-embedded}` falls back.
    names_server = (
        settings.mongo.uri != "embedded"
        or merged["mongo.uri"].value == "embedded"
        or has_variables(all_sources["mongo.uri"])
    )
    return Configuration(settings, all_sources, tuple(problems), read, names_server)


def _flag_values(flags: Mapping[str, tuple[str, str | None]]) -> dict[str, SourcedValue]:
    for name, value in flags.values():
        if value == "":  # most likely an unset shell variable: connecting to the default database would be a surprise
            raise BadValue(name=name, value=value, expected="a value")
    return {key: SourcedValue(value, name) for key, (name, value) in flags.items() if value is not None}


def _configuration_files(named: str | None) -> Iterator[tuple[Path, str]]:
    """The files to read, each with its name for messages; the first one wins."""
    if named is not None:
        yield Path(named).expanduser(), named
    elif Path("config.yaml").exists():
        yield Path("config.yaml"), "config.yaml"
    path = user_configuration()
    if path.exists():
        yield path, str(path)


def _read_file(path: Path, label: str, keys: Sequence[str]) -> Source:
    from chatstore_cli.config.yaml_file import read_file  # imports yaml

    return read_file(path, label, keys)


def user_configuration() -> Path:
    """The user's own configuration file, in the platform's configuration folder. It need not exist."""
    import platformdirs

    return platformdirs.user_config_path("chatstore") / "config.yaml"


def _resolve(
    merged: Mapping[str, SourcedValue], variables: Mapping[str, str], problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    types = setting_types()
    for key, sourced in merged.items():
        value, source = sourced.value, sourced.source
        used: list[str] = []
        try:
            if sourced.expands and isinstance(value, str) and "${" in value:
                value, used = expand(value, variables)
                source = with_variables(source, used)
            value = validated(key, value, types[key])
        except ExpansionError as error:
            problems.append(Problem(source, f"{key}: {error}."))
        except ValueError as error:
            # A variable may have a secret of another program, so its value is not shown.
            shown = "its value" if used else displayed(key, value)
            problems.append(Problem(source, f"{key}: {shown} is not {error}."))
        else:
            values[key], sources[key] = value, source
    return values, sources


def _build(section: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(section)
    values_of_section = {}
    for item in fields(section):
        key = prefix + item.name
        if is_dataclass(hints[item.name]):
            values_of_section[item.name] = _build(hints[item.name], values, f"{key}.")
        elif key in values:
            values_of_section[item.name] = values[key]
    return section(**values_of_section)


def _check_collections_differ(settings: Settings, sources: Mapping[str, str], problems: list[Problem]) -> None:
    """Add a problem for two layouts in one collection, which would mix their documents."""
    keys = {TOMBSTONES: "the tombstones of deleted sessions"}
    for key, name in (
        ("mongo.chat_collection", settings.messages_collection),
        ("mongo.session_collection", settings.sessions_collection),
        ("layouts.workflow.segments", settings.layouts.workflow.segments),
        ("layouts.workflow.usage", settings.layouts.workflow.usage),
        ("layouts.workflow.usage_rollups", settings.layouts.workflow.usage_rollups),
        ("layouts.threads.threads", settings.layouts.threads.threads),
        ("layouts.threads.messages", settings.layouts.threads.messages),
    ):
        if name in keys:
            both = [sources.get(each, "default") for each in (key, keys[name])]
            where = next((source for source in both if source != "default"), "default")
            shown = "same collection" if any(map(has_variables, both)) else f"collection {name}"
            what = f"{keys[name]} and {key} both name the {shown}."
            problems.append(Problem(where, what, "Give each of them a different collection."))
        keys.setdefault(name, key)

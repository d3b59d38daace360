"""The values of the settings, from all sources.

Only a value of another type, such as a number from the environment, is converted by a pydantic TypeAdapter of the field's
type, because importing pydantic costs 0.1 s. The rules in values.py hold for converted and other values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from chatstore_cli.config.expansion import ExpansionError, UnsetVariableError, expand
from chatstore_cli.config.profiles import (
    VARIABLE,
    ActiveProfile,
    names_of_profiles,
    overridden_settings,
    unknown_profile,
)
from chatstore_cli.config.settings import TOMBSTONES, Settings, setting_types
from chatstore_cli.config.sources import (
    DEFAULTS,
    Problem,
    Source,
    SourcedValue,
    has_variables,
    read_environment,
    read_own_env_file,
    with_variables,
)
from chatstore_cli.config.values import displayed, validated
from chatstore_cli.domain.errors import BadConfig, BadValue
from chatstore_cli.domain.field_mapping import merged_mapping


class Configuration(NamedTuple):
    """Settings with the source of each value, all problems, and the configuration files that were read.

    `names_server`: whether some source chose the server. If none did, it is the embedded MongoDB. `profiles` are the names
    of all profiles of the files.
    """

    settings: Settings
    sources: Mapping[str, str]
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    names_server: bool
    profile: ActiveProfile | None = None
    profiles: tuple[str, ...] = ()

    def valid(self) -> Configuration:
        """The same configuration. Raises BadConfig for its first serious problem."""
        serious = [problem for problem in self.problems if problem.serious]
        if serious:
            where, what, hint, *_ = serious[0]
            more = f" ({len(serious) - 1} more: chatstore config check)" if len(serious) > 1 else ""
            raise BadConfig(where=where, what=what + more, hint=hint)
        return self


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


def load_settings(config_file: str | None, *, uri: str | None = None, database: str | None = None) -> Settings:
    """The settings. Options win over the environment, `.env`, files and defaults, in this order. Raises BadConfig."""
    return load_configuration(config_file, uri=uri, database=database).valid().settings


def load_configuration(
    config_file: str | None,
    *,
    uri: str | None,
    database: str | None,
    timeout: float | None = None,
    profile: str | None = None,
) -> Configuration:
    """The settings with the source of each value, and with all problems instead of an error for the first one.

    A profile, or the one that CHATSTORE_PROFILE names, overrides the settings of all files, key by key. Only the value
    that wins is checked: an unset variable in a file is a problem only if no other source overrides it.
    Raises BadConfig if a file cannot be read.
    """
    keys = tuple(setting_types())
    flags = _flag_values({"mongo.uri": ("--uri", uri), "mongo.database": ("--database", database)})
    if timeout is not None:
        flags["mongo.timeout_seconds"] = SourcedValue(timeout, "--timeout")
    of_option = _flag_values({"profile": ("--profile", profile)})
    variables, problems = read_own_env_file()
    from_env_file = read_environment(variables, keys, ".env")
    from_environment = read_environment(os.environ, keys, "environment")
    variables |= os.environ
    named = config_file or variables.get("CHATSTORE_CONFIG") or None
    if named is not None and not Path(named).expanduser().exists():
        origin = "--config" if config_file else "CHATSTORE_CONFIG"
        raise BadConfig(where=named, what=f"no such file; {origin} names it.", hint=f"Correct or remove {origin}.")
    files = [_read_file(path, label, keys) for path, label in _configuration_files(named)]
    chosen = of_option.get("profile") or SourcedValue(variables.get(VARIABLE), VARIABLE)
    active = ActiveProfile(chosen.value, chosen.source) if chosen.value else None
    of_profile = [file.profiles[active.name] for file in files if active is not None and active.name in file.profiles]
    if active is not None and of_profile:
        active = active._replace(overridden=overridden_settings(of_profile, (from_env_file, from_environment)))
    elif active is not None:
        problems.insert(0, unknown_profile(active, files))
    merged = {key: SourcedValue(text, "default", expands=True) for key, text in DEFAULTS.items()}
    above_files = (from_env_file, from_environment, Source(values=flags))
    for source in (*reversed(files), *reversed(of_profile), *above_files):
        merged |= source.values
        problems += source.problems
    values, sources = _resolve(merged, variables, problems)
    own_uri = merged.get("chatstore.threads.uri")
    if values.get("chatstore.threads.backend") == "postgresql" and (own_uri is None or own_uri.value is None):
        _take_documented_variables(values, sources, problems)
    settings = _with_yielding_default(_build(Settings, values, ""), sources)
    _check_collections_differ(settings, sources, problems)
    read = tuple(source.file for source in files if source.file is not None)
    all_sources = {key: sources.get(key, "default") for key in keys}
    # `embedded` as it stands in a source was chosen, but not the `embedded` to which `${MONGO_URI:-embedded}` falls back.
    names_server = (
        settings.mongo.uri != "embedded"
        or merged["mongo.uri"].value == "embedded"
        or has_variables(all_sources["mongo.uri"])
    )
    profiles = names_of_profiles(files)
    return Configuration(settings, all_sources, tuple(problems), read, names_server, active, profiles)


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
            is_unset = isinstance(error, UnsetVariableError)
            problems.append(Problem(source, f"{key}: {error}.", unset_variable=is_unset))
        except ValueError as error:
            # A variable may have a secret of another program, so its value is not shown.
            shown = "its value" if used else displayed(key, value)
            problems.append(Problem(source, f"{key}: {shown} is not {error}."))
        else:
            values[key], sources[key] = value, source
    return values, sources


def _take_documented_variables(values: dict[str, Any], sources: dict[str, str], problems: list[Problem]) -> None:
    """The PostgreSQL server of the variables DB_*, as applications name it. DB_BACKEND is not read."""
    from chatstore_cli.config.thread_database import DatabaseConfig  # imports pydantic

    try:
        values["chatstore.threads.uri"] = DatabaseConfig.postgresql_from_env().get_connection_string()
        sources["chatstore.threads.uri"] = with_variables("default", ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER"])
    except BadConfig as error:
        problems.append(Problem(str(error.facts["where"]), str(error.facts["what"]), error.hint))


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


_GENERAL_SESSIONS = "layouts.general.sessions"
_OF_OTHER_PLATFORMS = (
    *(f"layouts.general.{name}" for name in ("stats", "artifacts", "workflow_sessions")),
    *(f"chatstore.agents.{name}" for name in ("versions", "transcripts", "bindings", "call_sessions", "states")),
)
"""Settings whose default names are those of other platforms. If another setting names such a collection, this is not a
mistake of the configuration: chatstore reads and writes there only documents of the expected shape."""


def _with_yielding_default(settings: Settings, sources: dict[str, str]) -> Settings:
    """The settings, without the layout `general` if another setting names the collection that `general` has by default.

    So a database that was configured before this layout existed is read as before. The source of the setting has the reason.
    """
    general = settings.layouts.general
    same = [key for key, name in _named_collections(settings) if name == general.sessions and key != _GENERAL_SESSIONS]
    if _GENERAL_SESSIONS in sources or not same:
        return settings
    sources[_GENERAL_SESSIONS] = f"off, because {same[0]} names the same collection"
    return replace(settings, layouts=replace(settings.layouts, general=replace(general, sessions=None)))


def _named_collections(settings: Settings) -> list[tuple[str, str]]:
    """Every setting that names a collection, with the name."""
    workflow, threads, general = settings.layouts.workflow, settings.layouts.threads, settings.layouts.general
    agents = settings.chatstore.agents
    messages_key = "layouts.messages.messages" if settings.layouts.messages.messages else "mongo.chat_collection"
    named = [
        (messages_key, settings.messages_collection),
        (
            "layouts.workflow.sessions" if workflow.sessions else "mongo.session_collection",
            settings.sessions_collection,
        ),
        ("layouts.workflow.segments", workflow.segments),
        ("layouts.workflow.usage", workflow.usage),
        ("layouts.workflow.usage_rollups", workflow.usage_rollups),
        ("layouts.workflow.usage_exports", workflow.usage_exports),
        ("layouts.threads.threads", threads.threads),
        ("layouts.threads.messages", threads.messages),
        *((f"layouts.general.{item.name}", getattr(general, item.name)) for item in fields(general)),
        *(
            (f"chatstore.agents.{item.name}", getattr(agents, item.name))
            for item in fields(agents)
            if item.name != "default_agent"
        ),
        ("chatstore.labels.collection", settings.chatstore.labels.collection),
        ("chatstore.search.words", settings.chatstore.search.words),
        ("chatstore.server.audit", settings.chatstore.server.audit),
    ]
    return [(key, name) for key, name in named if name is not None]


def _check_collections_differ(settings: Settings, sources: Mapping[str, str], problems: list[Problem]) -> None:
    """Add a problem for two layouts in one collection, which would mix their documents."""
    keys = {TOMBSTONES: "the tombstones of deleted sessions"}
    for key, name in _named_collections(settings):
        if key in _OF_OTHER_PLATFORMS and key not in sources:
            continue
        if name in keys:
            both = [sources.get(each, "default") for each in (key, keys[name])]
            where = next((source for source in both if source != "default"), "default")
            shown = "same collection" if any(map(has_variables, both)) else f"collection {name}"
            what = f"{keys[name]} and {key} both name the {shown}."
            or_off = f", or set {_GENERAL_SESSIONS}: null" if _GENERAL_SESSIONS in (key, keys[name]) else ""
            problems.append(Problem(where, what, f"Give each of them a different collection{or_off}."))
        keys.setdefault(name, key)

"""Settings for the classes of the library: from chatstore's configuration, or from the arguments of a constructor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from chatstore_cli.config.loading import load_configuration
from chatstore_cli.config.settings import Settings, setting_types
from chatstore_cli.config.values import validated
from chatstore_cli.domain.errors import BadValue

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section", bound="DataclassInstance")


def configured_settings(config_file: str | None, warn: Callable[[str], None]) -> Settings:
    """The settings that chatstore's configuration describes. Raises BadConfig."""
    configuration = load_configuration(config_file, uri=None, database=None).valid()
    if configuration.settings.mongo.enabled and not configuration.names_server:
        warn(
            "No server is configured, so the embedded MongoDB is used. To use your own: set MONGO_URI, or mongo.uri in "
            "config.yaml."
        )
    return configuration.settings


def with_values(section: Section, prefix: str, **given: object) -> Section:
    """A section of the settings with the values that are not None. Raises BadValue if one is not valid."""
    types = setting_types()
    changes: dict[str, object] = {}
    for name, value in given.items():
        key = f"{prefix}.{name}"
        if value is not None:
            try:
                changes[name] = validated(key, value, types[key])
            except ValueError as error:
                raise BadValue(name=key, value=value, expected=str(error)) from None
    return replace(section, **changes)

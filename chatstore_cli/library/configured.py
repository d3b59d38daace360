"""The settings of `from_config`, with a warning if they name no server."""

from __future__ import annotations

from collections.abc import Callable

from chatstore_cli.config.loading import load_configuration
from chatstore_cli.config.settings import Settings


def configured_settings(config_file: str | None, warn: Callable[[str], None]) -> Settings:
    """The settings that chatstore's configuration describes. Raises BadConfig."""
    configuration = load_configuration(config_file, uri=None, database=None).valid()
    if configuration.settings.mongo.enabled and not configuration.names_server:
        warn(
            "No server is configured, so the embedded MongoDB is used. To use your own: set MONGO_URI, or mongo.uri in "
            "config.yaml."
        )
    return configuration.settings

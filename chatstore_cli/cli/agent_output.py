"""Prints configurations of agents: as a table of their values, or as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.render.listing import Column, Record
from chatstore_cli.render.output_format import OutputFormat


def shown_config(config: Mapping[str, Any], *, reveal: bool) -> Mapping[str, Any]:
    """A configuration as it may be shown: with its secrets masked, unless they are revealed."""
    from chatstore_cli.core.agents.secrets import masked_config

    return config if reveal else masked_config(config)


def with_config_table(fields: Sequence[Column], row: Mapping[str, Any]) -> Record:
    """A record whose `config` is a table below its fields."""
    from chatstore_cli.core.agents.paths import values_by_path
    from chatstore_cli.render.rows.agents import CONFIG_FIELD, config_listing

    return Record((*fields, CONFIG_FIELD), row, [("Configuration", config_listing(values_by_path(row["config"])))])


def emit_config(invocation: Invocation, config: Mapping[str, Any]) -> None:
    """Print a configuration alone."""
    from chatstore_cli.core.agents.paths import values_by_path
    from chatstore_cli.render.rows.agents import config_listing

    if invocation.options.output in (OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML):
        invocation.emit(Record((), config))
    else:
        invocation.emit(config_listing(values_by_path(config)))

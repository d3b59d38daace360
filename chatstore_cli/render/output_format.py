"""The names of the output formats: in a file of their own, so that parsing a command line imports no more than these."""

from __future__ import annotations

from enum import StrEnum


class OutputFormat(StrEnum):
    """The values of `-o`."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    YAML = "yaml"
    MD = "md"

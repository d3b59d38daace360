"""The names of the output formats, apart from their code, so that parsing a command line does not import it."""

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
    HTML = "html"


ROW_FORMATS = tuple(each for each in OutputFormat if each is not OutputFormat.HTML)
"""The formats that every command can print. HTML is for whole conversations."""

"""The format that the end of a file name stands for, and what happens if it is not the one that is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.render.output_format import OutputFormat

JSON, JSON_LINES, YAML = "JSON", "JSON lines", "YAML"
_FORMATS = {
    ".csv": "CSV",
    ".tsv": "tab-separated values",
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".yaml": YAML,
    ".yml": YAML,
    ".md": "Markdown",
    ".markdown": "Markdown",
    ".html": "HTML",
    ".htm": "HTML",
    ".xml": "XML",
    ".xlsx": "Excel",
    ".pdf": "PDF",
    ".gz": "gzip",
    ".zip": "ZIP",
}
NAMES_OF_OUTPUTS = {
    OutputFormat.TABLE: "text",
    OutputFormat.JSON: JSON,
    OutputFormat.JSONL: JSON_LINES,
    OutputFormat.CSV: "CSV",
    OutputFormat.YAML: YAML,
    OutputFormat.MD: "Markdown",
    OutputFormat.HTML: "HTML",
}
"""The formats of -o, as texts name them."""


def output_named_by(path: str) -> OutputFormat | None:
    """The output format that the end of a file name stands for; None if it stands for none."""
    named = _FORMATS.get(Path(path).suffix.lower())
    return next((output for output, name in NAMES_OF_OUTPUTS.items() if name == named), None)


def check_file_name(
    option: str, path: str, written: str, *, is_chosen: bool, say: Callable[[str], None], hint: str
) -> None:
    """Compare the end of a file name with the format that is written.

    A format that the user chose is written, with a notice. Otherwise the name is most likely the user's choice, so a name
    that stands for another format raises WrongUse. Names such as `notes.txt` stand for no format.
    """
    named = _FORMATS.get(Path(path).suffix.lower())
    if named in (None, written):
        return
    if not is_chosen:
        what = f"{option}: the name {path!r} stands for {named}, and the output is {written}."
        raise WrongUse(what=what, hint=hint)
    say(f"The output in {path} is {written}, although the name stands for {named}.")

"""Golden files: the exact bytes that a command prints, in tests/golden.

After an intended change, write the files again and read the difference:

    CHATSTORE_UPDATE_GOLDEN=1 pytest --soak tests/cli -k byte_for_byte && git diff tests/golden
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chatstore_cli.render.output_format import ROW_FORMATS, OutputFormat
from tests.support.paths import GOLDEN

if TYPE_CHECKING:
    from tests.conftest import Chatstore

# Read at import: each test runs without the variables of the machine's user.
_UPDATE = os.environ.get("CHATSTORE_UPDATE_GOLDEN") == "1"

TABLE_AND_JSON = [
    each if each in (OutputFormat.TABLE, OutputFormat.JSON) else pytest.param(each, marks=pytest.mark.soak)
    for each in ROW_FORMATS
]
"""The formats of commands whose rows are new. tests/cli/test_golden.py compares all formats in every run."""


def check_golden(
    chatstore: Chatstore, name: str, command: tuple[str, ...], output: OutputFormat, *, code: int = 0
) -> None:
    """Run the command and compare what it prints with the golden file of that name and format."""
    outcome = chatstore(*command, "-o", output.value)
    assert outcome.code == code, outcome.err
    golden = GOLDEN / f"{name}.{output.value if output is not OutputFormat.TABLE else 'txt'}"
    if _UPDATE:
        GOLDEN.mkdir(exist_ok=True)
        golden.write_bytes(outcome.out.encode())
    assert outcome.out.encode() == golden.read_bytes()

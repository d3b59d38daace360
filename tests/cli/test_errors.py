"""The log file of an unexpected error."""

from __future__ import annotations

from pathlib import Path

from chatstore_cli.cli.errors import write_crash_log


def test_a_crash_log_has_the_command_line_without_secrets():
    arguments = ["verify", "--api-url", "http://Geheim1@host/app", "--header", "Authorization: Bearer Geheim2"]
    more = ["--header=X-Key: Geheim3", "--header=Geheim4", "--uri", "mongodb://ana:Geheim5@host", "--log", "app.log"]
    text = Path(write_crash_log(RuntimeError("what went wrong"), [*arguments, *more])).read_text()
    assert "Geheim" not in text
    first = (
        "chatstore verify --api-url http://***@host/app --header Authorization: *** --header=X-Key: *** --header=***"
    )
    assert f"{first} --uri mongodb://ana:***@host --log app.log" in text
    assert "RuntimeError: what went wrong" in text

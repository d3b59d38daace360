"""The end of a file name that stands for another format than the one that is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatstore_cli.cli.file_names import NAMES_OF_OUTPUTS, output_named_by
from chatstore_cli.render.output_format import OutputFormat
from tests.conftest import Chatstore
from tests.support.stored_threads import store_threads


def test_every_output_format_has_a_name_and_its_own_ending() -> None:
    assert list(NAMES_OF_OUTPUTS) == list(OutputFormat)
    for output in OutputFormat:
        named = output_named_by(f"folder.csv/conversation.{output.upper()}")
        assert named is (None if output is OutputFormat.TABLE else output)
    assert output_named_by("a.yml") is OutputFormat.YAML
    assert output_named_by("a.ndjson") is OutputFormat.JSONL
    assert output_named_by("a.txt") is output_named_by("json") is None


@pytest.mark.parametrize(
    ("arguments", "file", "problem"),
    [
        (("resume", "t-ferry"), "x.csv", "stands for CSV, and the output is JSON lines. End the name with .jsonl"),
        (("resume", "t-ferry"), "x.json", "stands for JSON, and the output is JSON lines."),
        (("resume", "t-ferry"), "x.gz", "stands for gzip, and the output is JSON lines."),
        (
            ("threads", "export", "t-ferry"),
            "x.yaml",
            "stands for YAML, and the output is JSON. End the name with .json.",
        ),
        (("config", "init"), "x.json", "stands for JSON, and the output is YAML. End the name with .yaml."),
        (("sessions", "show", "t-ferry", "--full"), "x.pdf", "stands for PDF, and the output is text. Choose"),
    ],
)
def test_nothing_is_written_to_a_file_whose_name_stands_for_another_format(
    chatstore: Chatstore, arguments: tuple[str, ...], file: str, problem: str
) -> None:
    outcome = chatstore(*arguments, "--to", file)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--to: the name '{file}' {problem}" in outcome.err
    assert not (chatstore.folder / file).exists()


def test_a_format_that_was_chosen_is_written_with_a_notice(chatstore: Chatstore, database: Any) -> None:
    store_threads(database)
    done = chatstore("resume", "t-ferry", "--as", "openai", "--to", "x.csv")
    assert (done.code, "The output in x.csv is JSON, although the name stands for CSV.\n" in done.err) == (0, True)
    assert json.loads((chatstore.folder / "x.csv").read_text())
    refused = chatstore("sessions", "delete", "--user", "ana", "--plan", "plan.csv")
    assert (refused.code, "--plan: the name 'plan.csv' stands for CSV" in refused.err) == (2, True)
    done = chatstore("sessions", "show", "t-ferry", "--full", "-o", "json", "--to", "y.md")
    assert (done.code, "The output in y.md is JSON, although the name stands for Markdown.\n" in done.err) == (0, True)
    for name in ("z.txt", "z", "z.jsonl"):
        done = chatstore("resume", "t-ferry", "--to", name)
        assert (done.code, "stands for" in done.err) == (0, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "init", "--to"),
        ("threads", "export", "t-ferry", "--to"),
        ("sessions", "show", "t-ferry", "--full", "--to"),
        ("sessions", "delete", "--layout", "threads", "--plan"),
        ("usage", "--after", "start", "--cursor-to"),
    ],
    ids=" ".join,
)
def test_a_folder_is_not_a_file_to_write(chatstore: Chatstore, database: Any, arguments: tuple[str, ...]) -> None:
    store_threads(database)
    (chatstore.folder / "made").mkdir()
    outcome = chatstore(*arguments, "made")
    assert (outcome.code, outcome.out) == (2, "")
    assert "made is a folder. Name a file." in outcome.err
    assert "--force" not in outcome.err
    assert list((chatstore.folder / "made").iterdir()) == []

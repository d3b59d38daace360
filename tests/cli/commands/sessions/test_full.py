"""`sessions show --full`: a whole conversation, for a person, a ticket, a browser or another program."""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from markdown_it import MarkdownIt

from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import check_golden
from tests.support.stored_conversation import CONVERSATION_ID, HOSTILE, conversation_document

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

FULL = ("sessions", "show", CONVERSATION_ID, "--full")


@pytest.fixture(scope="module")
def reader(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    """The command over one conversation."""
    module_database["chat_sessions"].insert_one(conversation_document())
    return module_chatstore


@pytest.mark.parametrize("output", list(OutputFormat))
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, output: OutputFormat) -> None:
    check_golden(reader, "sessions-show-full", (*FULL, "--timezone", "Europe/Berlin"), output)


@pytest.mark.parametrize("output", [OutputFormat.TABLE, OutputFormat.MD, OutputFormat.HTML])
def test_redacted_output_is_byte_for_byte_what_it_was(reader: Chatstore, output: OutputFormat) -> None:
    check_golden(reader, "sessions-show-full-redacted", (*FULL, "--redact", "--tools", "full"), output)


def test_rows_have_the_whole_messages_in_every_format(reader: Chatstore) -> None:
    shown = json.loads(reader(*FULL, "-o", "json").out)
    assert shown["session"]["session_id"] == CONVERSATION_ID
    stored = conversation_document()["messages"]
    assert [each["content"] for each in shown["items"]] == [each["content"] for each in stored]
    assert [json.loads(line) for line in reader(*FULL, "-o", "jsonl").out.splitlines()] == shown["items"]
    assert yaml.safe_load(reader(*FULL, "-o", "yaml").out) == shown
    rows = list(csv.DictReader(io.StringIO(reader(*FULL, "-o", "csv").out, newline="")))
    assert [row["message_id"] for row in rows] == [each["event_id"] for each in stored]
    assert len(reader(*FULL, "--last", "3", "-o", "jsonl").out.splitlines()) == 3


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_html_is_well_formed_and_nothing_in_it_runs_or_is_loaded(reader: Chatstore) -> None:
    page = reader(*FULL, "-o", "html").out
    parsed = _Tags()
    parsed.feed(page)
    assert parsed.open == []
    tags = {tag for tag, _ in parsed.found}
    assert tags <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "h1",
        "h2",
        "h3",
        "bdi",
        "dl",
        "div",
        "dt",
        "dd",
        "section",
        "article",
        "span",
        "time",
        "p",
        "pre",
        "details",
        "summary",
        "code",
    }
    attributes = {name for _, attributes in parsed.found for name in attributes}
    assert attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "datetime", "dir", "open"}
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]
    [policy] = [each["content"] for _, each in parsed.found if each.get("http-equiv") == "Content-Security-Policy"]
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert any(shown in text for text in parsed.texts)


def test_markdown_has_no_markup_of_stored_text(reader: Chatstore) -> None:
    """A parser of CommonMark finds the headings and lists that we write, and stored text in code alone."""
    tokens = MarkdownIt("commonmark").parse(reader(*FULL, "-o", "md", "--tools", "full").out)
    assert {token.type for token in tokens} <= {
        "heading_open", "heading_close", "inline", "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
        "paragraph_open", "paragraph_close", "fence",
    }  # fmt: skip
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {"text", "code_inline", "softbreak"}
    fences = [token.content for token in tokens if token.type == "fence"]
    assert any("```python\nprint('x')\n````\n# heading" in fence for fence in fences)
    texts = [child.content for token in tokens for child in token.children or () if child.type == "text"]
    assert not any("octocat" in text or "Ana" in text for text in texts)


def test_tools_are_folded_shown_or_counted(reader: Chatstore) -> None:
    folded, full, none = (reader(*FULL, "--tools", tools) for tools in ("folded", "full", "none"))
    assert "58, 59]}" not in folded.out
    assert "58, 59]}" in full.out
    assert "find_order" in folded.out and "find_order" not in none.out
    assert "Tool calls and results that are not shown: 2" in none.err
    assert "are not shown" not in folded.err
    assert "\u2190 find_order {" in folded.out  # a result has the name of its call


def test_a_file_is_written_whole_and_only_once(reader: Chatstore) -> None:
    path = reader.folder / "conversation.html"
    written = reader(*FULL, "-o", "html", "--to", path)
    assert (written.code, written.out) == (0, "")
    assert f"Wrote 8 messages of session {CONVERSATION_ID} (workflow) to {path}." in written.err
    assert path.read_text() == reader(*FULL, "-o", "html").out
    assert path.stat().st_mode & 0o077 == 0
    assert reader(*FULL, "--to", path).code == 8
    assert reader(*FULL, "--to", path, "--force").code == 0
    assert path.read_text() == reader(*FULL, "-o", "html").out
    path.unlink()


@pytest.mark.parametrize(
    ("name", "output"),
    [("c.json", "json"), ("c.MD", "md"), ("c.html", "html"), ("c.csv", "csv"), ("c.txt", "table"), ("json", "table")],
)
def test_the_end_of_the_file_name_chooses_the_format(reader: Chatstore, name: str, output: str) -> None:
    path = reader.folder / name
    assert reader(*FULL, "--to", path).code == 0
    assert path.read_text() == reader(*FULL, "-o", output).out
    assert reader(*FULL, "--to", path, "-o", "jsonl", "--force").code == 0
    assert path.read_text() == reader(*FULL, "-o", "jsonl").out
    path.unlink()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("sessions", "list", "-o", "html"), "sessions show SESSION_ID --full -o html"),
        (("sessions", "show", CONVERSATION_ID, "-o", "html"), "--full -o html"),
        (("-o", "html", "usage"), "--full -o html"),
        (("sessions", "show", CONVERSATION_ID, "--to", "x"), "Add --full"),
        ((*FULL, "--first", "3"), "--last N"),
        ((*FULL, "--tools", "full", "-o", "json"), "Remove --tools"),
        (("sessions", "show", CONVERSATION_ID, "--last", "1001"), "add --full"),
    ],
)
def test_options_that_do_not_fit_are_rejected_with_the_way_out(
    reader: Chatstore, arguments: tuple[str, ...], hint: str
) -> None:
    outcome = reader(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert hint in outcome.err


def test_redacted_messages_are_counted_in_json_and_on_stderr(reader: Chatstore) -> None:
    for arguments in (FULL, FULL[:-1]):
        outcome = reader(*arguments, "--redact", "-o", "json")
        assert json.loads(outcome.out)["redacted"] == {"email": 1, "phone": 1}
        assert "ana@example" not in outcome.out and "1234567890" in outcome.out
        assert "Redacted: 1 e-mail address, 1 phone number. Names and other personal data are not" in outcome.err
    assert "redacted" not in json.loads(reader(*FULL, "-o", "json").out)


def test_a_long_line_is_written_in_every_format(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    line = "\u6f22" * 30_000 + "<" * 30_000 + "`" * 30_000 + "a b " * 10_000
    database["chat_messages"].insert_one(
        {"session_id": "long", "role": "user", "text": line, "created_at": "2026-03-02T12:00:00.000000+00:00"}
    )
    for output in (OutputFormat.TABLE, OutputFormat.MD, OutputFormat.HTML):
        outcome = chatstore("sessions", "show", "long", "--full", "--redact", "-o", output.value)
        assert (outcome.code, len(outcome.out) > len(line)) == (0, True), output

"""Every code block of the README and of the pages in docs is run, on the demo's samples and a real server.

A comment above a block says how it is tested:

    <!-- not run: REASON -->        not tested, for this reason
    <!-- exits with N -->           bash that exits with status N
    <!-- output -->                 text that the bash block before it printed; digits can differ
    <!-- output of chatstore demo --> text that the demo printed
    (no comment)                    bash must exit with 0, YAML must be a valid configuration, JSON must parse. SQL is run by
                                    tests/real/test_postgres_commands.py. The Python
                                    blocks of a page are one program, which runs at the first of them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.conftest import Chatstore, server
from tests.support import fork_server
from tests.support.paths import ROOT

PAGES = ("README.md", "docs/operations.md", "docs/library.md", "docs/fastapi.md", "docs/layouts.md")
DEMO_OUTPUT = "output of chatstore demo"
LANGUAGES = {"bash", "text", "yaml", "json", "python", "sql"}
BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page and the comment above it."""

    page: str
    line: int
    language: str
    note: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    source = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, source[: found.start()].count("\n") + 1, found["language"], found["note"] or "", found["text"])
        for found in BLOCK.finditer(source)
    ]


def same_but_for_digits(text: str) -> list[str]:
    """The lines of an output with every number replaced by 0, because times, sizes and counts differ between runs."""
    return [" ".join(re.sub(r"[\d.,:]*\d[\d.,:]*", "0", line).split()) for line in text.splitlines() if line.strip()]


@dataclass(frozen=True)
class Reader:
    """Somebody who has run `chatstore demo` and types the commands of a page."""

    chatstore: Chatstore
    demo_output: str


@pytest.fixture
def reader(
    chatstore: Chatstore, mongo_uri: str, mongo_client: MongoClient[dict[str, Any]], tmp_path: Path
) -> Iterator[Reader]:
    """A reader with `chatstore` on PATH and the journals of the demo."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "chatstore"
    if fork_server.suits(chatstore.environment):
        server().write_program(program)
    else:
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m chatstore_cli "$@"\n')
        program.chmod(0o755)
    database = f"readme_{os.getpid()}"
    folder = tmp_path / "demo"
    done = chatstore("demo", "--uri", mongo_uri, "--database", database, "--folder", folder)
    assert done.code == 0, done.out + done.err
    chatstore.environment |= {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "CHATSTORE_CONFIG": str(folder / "config.yaml"),
        "CHATSTORE_DATABASE": database,
    }
    yield Reader(chatstore, done.out)
    mongo_client.drop_database(database)


def _run(chatstore: Chatstore, block: Block) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=chatstore.folder,
        env=chatstore.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    exits_with = re.fullmatch(r"exits with (\d+)", block.note)
    expected = int(exits_with[1]) if exits_with else 0
    assert done.returncode == expected, f"{block.page}:{block.line}\n{block.text}\n{done.stdout}"
    return done.stdout


def _run_program(chatstore: Chatstore, page: str) -> str:
    program = "".join(block.text for block in blocks(page) if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=chatstore.folder,
        env=chatstore.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{page}\n{done.stdout}"
    return done.stdout


def _check_configuration(chatstore: Chatstore, block: Block) -> None:
    file = chatstore.folder / "block.yaml"
    file.write_text(block.text)
    done = chatstore("config", "check", "--config", file, env={"CHATSTORE_URI": None, "CHATSTORE_DATABASE": None})
    assert done.code == 0, f"{block.page}:{block.line}\n{done.out}{done.err}"


def _check_output(block: Block, printed: str) -> None:
    seen = same_but_for_digits(printed)
    missing = [line for line in same_but_for_digits(block.text) if line not in seen and line != "…"]
    assert missing == [], f"{block.page}:{block.line}\n{printed}"


def test_every_block_does_what_its_page_claims(reader: Reader) -> None:
    """One reader runs the blocks of all pages, in order."""
    printed = ""
    programs: set[str] = set()
    for block in [block for page in PAGES for block in blocks(page)]:
        if block.note.startswith("not run: "):
            continue
        if block.language == "bash":
            printed = _run(reader.chatstore, block)
        elif block.language == "python" and block.page not in programs:
            programs.add(block.page)
            printed = _run_program(reader.chatstore, block.page)
        elif block.language == "yaml":
            _check_configuration(reader.chatstore, block)
        elif block.language == "text":
            _check_output(block, reader.demo_output if block.note == DEMO_OUTPUT else printed)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_language_and_a_known_comment(page: str) -> None:
    found = blocks(page)
    assert (ROOT / page).read_text(encoding="utf-8").count("\n```") == 2 * len(found)
    for block in found:
        assert block.language in LANGUAGES, f"{block.page}:{block.line}"
        notes = {"text": rf"output|{DEMO_OUTPUT}", "bash": r"|exits with \d+|not run: \w.+"}
        assert block.language != "json" or json.loads(block.text)
        assert re.fullmatch(notes.get(block.language, ""), block.note), f"{block.page}:{block.line}"


@pytest.mark.parametrize(
    "page", [*PAGES, "docs/architecture.md", "docs/cli.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: str) -> None:
    source = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", source) if "://" not in link]
    assert [link for link in links if not _leads_somewhere(ROOT / page, link)] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in _anchors(target.read_text(encoding="utf-8")))


def _anchors(source: str) -> set[str]:
    """The anchors that a Markdown viewer gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", source, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}

"""Every code block of the README and of the pages in docs is run, on the demo's samples and a real server.

A comment above a block says how it is tested:

    <!-- not run: REASON -->        not tested, for this reason
    <!-- exits with N -->           bash that exits with status N
    <!-- runs until it is stopped --> bash that starts the server, which serves the blocks after it
    <!-- output -->                 text that the bash block before it printed; digits can differ
    <!-- output of chatstore demo --> text that the demo printed
    (no comment)                    bash must exit with 0, YAML must be a valid configuration, JSON must parse. SQL is run by
                                    tests/real/test_postgres_commands.py. The Python
                                    blocks of a page are one program, which runs at the first of them. Configurations of
                                    other programs are not run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.conftest import Chatstore, server
from tests.support import fork_server
from tests.support.paths import ROOT

SERVER_PAGE = "docs/server.md"
PAGES_OF_COMMANDS = ("README.md", "docs/operations.md", "docs/library.md", "docs/fastapi.md", "docs/layouts.md")
PAGES = (*PAGES_OF_COMMANDS, SERVER_PAGE)
DEMO_OUTPUT = "output of chatstore demo"
UNTIL_STOPPED = "runs until it is stopped"
LANGUAGES = {"bash", "text", "yaml", "json", "python", "sql"}
OTHER_PROGRAMS = {"nginx", "caddy", "ini"}
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
        _write_program(program)
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


def _write_program(path: Path) -> None:
    """Write a program that starts the command line."""
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m chatstore_cli "$@"\n')
    path.chmod(0o755)


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


def _is_program(block: Block, page: str) -> bool:
    return block.language == "python" and block.page == page


def _run_program(chatstore: Chatstore, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=chatstore.folder,
        env=chatstore.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{program[:500]}\n{done.stdout}"
    return done.stdout


def _check_configuration(chatstore: Chatstore, block: Block) -> None:
    file = chatstore.folder / "block.yaml"
    file.write_text(block.text)
    done = chatstore("config", "check", "--config", file, env={"CHATSTORE_URI": None, "CHATSTORE_DATABASE": None})
    assert done.code == 0, f"{block.page}:{block.line}\n{done.out}{done.err}"


def _is_among(line: str, seen: list[str]) -> bool:
    """Whether a line was printed. An ellipsis in it stands for any text."""
    pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
    return line == "…" or any(pattern.fullmatch(each) for each in seen)


def _check_output(block: Block, printed: str) -> None:
    seen = same_but_for_digits(printed)
    missing = [line for line in same_but_for_digits(block.text) if not _is_among(line, seen)]
    assert missing == [], f"{block.page}:{block.line}\n{printed}"


def test_every_block_does_what_its_page_claims(reader: Reader) -> None:
    """One reader runs the blocks of all pages, in order, and starts the server on a port that is free."""
    _follow(reader, [block for page in PAGES_OF_COMMANDS for block in blocks(page)])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reader.chatstore.environment |= {"CHATSTORE_SERVER__PORT": str(port)}
    (reader.chatstore.folder / "examples").symlink_to(ROOT / "examples")
    served = [
        replace(block, text=block.text.replace("localhost:8000", f"localhost:{port}")) for block in blocks(SERVER_PAGE)
    ]
    _follow(reader, served)


@contextmanager
def _server(chatstore: Chatstore, block: Block) -> Iterator[None]:
    """The server that a block starts, from when it prints its address. TERM ends it with status 0."""
    programs, log = chatstore.folder / "started", chatstore.folder / "server.log"
    programs.mkdir(exist_ok=True)
    _write_program(programs / "chatstore")  # a process of its own gets the signal
    environment = {**chatstore.environment, "PATH": f"{programs}{os.pathsep}{chatstore.environment['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    with log.open("w") as out:
        started = subprocess.Popen(
            command, cwd=chatstore.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        while "Serving on" not in log.read_text():
            assert started.poll() is None, log.read_text()
            time.sleep(0.05)
        yield
        started.terminate()
        assert started.wait(120) == 0, log.read_text()
    finally:
        started.kill()
        started.wait()


def _follow(reader: Reader, page: Sequence[Block]) -> None:
    with ExitStack() as server:
        _run_blocks(reader, page, server)


def _run_blocks(reader: Reader, page: Sequence[Block], server: ExitStack) -> None:
    printed = ""
    programs: set[str] = set()
    for block in page:
        if block.note.startswith("not run: "):
            continue
        if block.note == UNTIL_STOPPED:
            server.close()
            server.enter_context(_server(reader.chatstore, block))
        elif block.language == "bash":
            printed = _run(reader.chatstore, block)
        elif block.language == "python" and block.page not in programs:
            programs.add(block.page)
            printed = _run_program(
                reader.chatstore, "".join(each.text for each in page if _is_program(each, block.page))
            )
        elif block.language == "yaml":
            _check_configuration(reader.chatstore, block)
        elif block.language == "text":
            _check_output(block, reader.demo_output if block.note == DEMO_OUTPUT else printed)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_language_and_a_known_comment(page: str) -> None:
    found = blocks(page)
    assert (ROOT / page).read_text(encoding="utf-8").count("\n```") == 2 * len(found)
    for block in found:
        assert block.language in LANGUAGES | OTHER_PROGRAMS, f"{block.page}:{block.line}"
        notes = {"text": rf"output|{DEMO_OUTPUT}", "bash": rf"|exits with \d+|not run: \w.+|{UNTIL_STOPPED}"}
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

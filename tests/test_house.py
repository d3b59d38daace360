"""The house keeps its own rules, and the tool that says so notices when one is broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "chatstore_cli"
LONGEST_FILE = 350
LONGEST_COMMAND = 160
"""Lines. DESIGN says about 300 and about 120; beyond these a file is more than one thing."""

SUPPRESSION = re.compile(r"# (noqa|type: ignore|pragma)")
REASONED = re.compile(r"# (noqa: [A-Z0-9, ]+|pragma: no cover) - \w|# type: ignore\[[\w, -]+\]  # \w")

COMMANDS = sorted((PACKAGE / "cli" / "commands").rglob("*.py"))


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to be broken."""
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_import_contracts_hold() -> None:
    done = _lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


BREACHES = [
    ("domain/session.py", "import chatstore_cli.core.demo.stage", "Imports point only downwards"),
    ("mongo/connection.py", "import chatstore_cli.files.ledger", "Imports point only downwards"),
    ("render/rows/sessions.py", "import chatstore_cli.core.demo.stage", "Rendering knows only domain objects"),
    (
        "cli/commands/usage/usage.py",
        "import chatstore_cli.mongo.connection",
        "Commands reach adapters through wiring",
    ),
    ("core/demo/stage.py", "import bson", "Domain and use cases know the standard library and pydantic"),
    ("transcripts/openai.py", "import yaml", "Transcripts are pure"),
    ("cli/commands/usage/usage.py", "import rich.table", "Only render imports rich"),
    ("wiring/stores.py", "import pymongo", "Only mongo imports the driver"),
    ("files/log_tail.py", "import chatstore_cli.web.address", "Imports point only downwards"),
    ("wiring/verify_application.py", "import httpx", "Only web speaks HTTP and WebSocket"),
    (
        "core/verify/application/checks.py",
        "import websockets",
        "Domain and use cases know the standard library and pydantic",
    ),
    ("mongo/workflow/layout.py", "import chatstore_cli.mongo.messages.layout", "A layout never imports another"),
    ("transcripts/openai.py", "import chatstore_cli.transcripts.ag2", "A transcript never imports another"),
    (
        "core/usage/report.py",
        "import chatstore_cli.core.workflow.turns",
        "Siblings do not import each other in a circle",
    ),
]


@pytest.mark.parametrize(("room", "line", "contract"), BREACHES)
def test_an_import_that_breaks_a_contract_is_noticed(copy: Path, room: str, line: str, contract: str) -> None:
    file = copy / PACKAGE.name / room
    file.write_text(file.read_text() + f"\n{line}\n")
    done = _lint_imports(copy)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


def test_every_contract_is_broken_once_here() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == {contract for _, _, contract in BREACHES}


def test_a_new_package_has_to_be_given_its_place(copy: Path) -> None:
    (copy / PACKAGE.name / "annex.py").write_text("")
    done = _lint_imports(copy)
    assert done.returncode == 1
    assert "chatstore_cli.annex" in done.stdout


def test_no_file_is_longer_than_one_thing_needs() -> None:
    lengths = {file.relative_to(PACKAGE): len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_command_file_is_longer_than_a_thin_one() -> None:
    lengths = {file.relative_to(PACKAGE): len(file.read_text().splitlines()) for file in COMMANDS}
    assert {file: length for file, length in lengths.items() if length > LONGEST_COMMAND} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        file.relative_to(PACKAGE)
        for file in PACKAGE.rglob("*.py")
        if file.read_text().strip() and not file.read_text().startswith('"""')
    ]
    assert silent == []


def test_every_suppression_names_its_rule_and_its_reason() -> None:
    bare = [
        f"{file.relative_to(ROOT)}:{number}"
        for folder in (PACKAGE, ROOT / "scripts")
        for file in folder.rglob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if SUPPRESSION.search(line) and not REASONED.search(line)
    ]
    assert bare == []

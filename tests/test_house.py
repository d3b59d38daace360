"""The rules for the package's own code, and proof that a broken rule is reported."""

from __future__ import annotations

import ast
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
"""Lines. The aim is 300 and 120 (CONTRIBUTING.md); a longer file does more than one thing."""

SUPPRESSION = re.compile(r"  # (noqa|type: ignore|pragma)")
REASONED = re.compile(r"# (noqa: [A-Z0-9, ]+|pragma: no cover) - \w|# type: ignore\[[\w, -]+\]  # \w")

COMMANDS = sorted((PACKAGE / "cli" / "commands").rglob("*.py"))


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120)


def copy_of_the_package(folder: Path) -> Path:
    """A copy of the package and its contracts, which a test can break."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_import_contracts_hold() -> None:
    done = _lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


BREACHES = [
    ("domain/session.py", "import chatstore_cli.core.demo.setup", "Imports point only downwards"),
    ("mongo/connection.py", "import chatstore_cli.files.ledger", "Imports point only downwards"),
    ("render/rows/sessions.py", "import chatstore_cli.core.demo.setup", "Rendering knows only domain objects"),
    (
        "cli/commands/usage/usage.py",
        "import chatstore_cli.mongo.connection",
        "Commands reach adapters through wiring",
    ),
    (
        "library/threads/creation.py",
        "import chatstore_cli.mongo.threads.store",
        "Commands reach adapters through wiring",
    ),
    ("core/demo/setup.py", "import bson", "Domain and use cases know the standard library and pydantic"),
    ("transcripts/openai.py", "import yaml", "Transcripts are pure"),
    ("cli/commands/usage/usage.py", "import rich.table", "Only render imports rich"),
    ("wiring/stores.py", "import pymongo", "Only mongo imports the driver"),
    ("wiring/threads.py", "import sqlalchemy", "Only postgres imports SQLAlchemy, its driver and Alembic"),
    ("postgres/database.py", "import chatstore_cli.mongo.connection", "Imports point only downwards"),
    ("files/log_tail.py", "import chatstore_cli.web.address", "Imports point only downwards"),
    ("wiring/verify_application.py", "import httpx", "Only web speaks HTTP and WebSocket"),
    ("wiring/server.py", "import fastapi", "Only server imports FastAPI"),
    ("server/entrance/gate.py", "import chatstore_cli.mongo.connection", "Commands reach adapters through wiring"),
    ("server/entrance/gate.py", "import chatstore_cli.cli.main", "Imports point only downwards"),
    (
        "core/verify/application/checks.py",
        "import websockets",
        "Domain and use cases know the standard library and pydantic",
    ),
    ("mongo/workflow/layout.py", "import chatstore_cli.mongo.messages.layout", "A layout never imports another"),
    ("mongo/threads/feed.py", "import chatstore_cli.mongo.workflow.shape", "A layout never imports another"),
    ("transcripts/openai.py", "import chatstore_cli.transcripts.ag2", "A transcript never imports another"),
    (
        "core/usage/report.py",
        "import chatstore_cli.core.workflow.turns",
        "Siblings do not import each other in a circle",
    ),
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What import-linter reports on a copy of the package with all of these imports."""
    folder = copy_of_the_package(tmp_path_factory.mktemp("broken"))
    for module, line, _ in BREACHES:
        with (folder / PACKAGE.name / module).open("a") as file:
            file.write(f"\n{line}\n")
    return _lint_imports(folder)


@pytest.mark.parametrize(("module", "line", "contract"), BREACHES)
def test_an_import_that_breaks_a_contract_is_reported(
    broken: subprocess.CompletedProcess[str], module: str, line: str, contract: str
) -> None:
    assert broken.returncode == 1
    assert f"{contract} BROKEN" in broken.stdout
    details = broken.stdout.partition("Broken contracts")[2].partition(f"\n{contract}\n---")[2].partition("\n---")[0]
    importer = f"chatstore_cli.{module.removesuffix('.py').replace('/', '.')}"
    imported = line.removeprefix("import ")
    if not imported.startswith("chatstore_cli."):
        imported = imported.partition(".")[0]  # the linter knows other packages only by their names
    reported = "- .usage -> .workflow" if "circle" in contract else f"{importer} -> {imported}"
    assert reported in details


def test_every_contract_has_a_breach() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == {contract for _, _, contract in BREACHES}


def test_a_new_package_needs_a_line_in_the_layers(tmp_path: Path) -> None:
    (copy_of_the_package(tmp_path) / PACKAGE.name / "annex.py").write_text("")
    done = _lint_imports(tmp_path)
    assert done.returncode == 1
    assert "chatstore_cli.annex" in done.stdout


def test_no_file_is_longer_than_the_limit() -> None:
    lengths = {file.relative_to(PACKAGE): len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_command_file_is_longer_than_its_limit() -> None:
    lengths = {file.relative_to(PACKAGE): len(file.read_text().splitlines()) for file in COMMANDS}
    assert {file: length for file, length in lengths.items() if length > LONGEST_COMMAND} == {}


def test_every_module_has_a_docstring() -> None:
    undocumented = [
        file.relative_to(PACKAGE)
        for file in PACKAGE.rglob("*.py")
        if file.read_text().strip() and not file.read_text().startswith('"""')
    ]
    assert undocumented == []


def test_every_suppression_names_its_rule_and_its_reason() -> None:
    bare = [
        f"{file.relative_to(ROOT)}:{number}"
        for folder in (PACKAGE, *(ROOT / name for name in ("scripts", "benchmarks", "examples", "tests")))
        for file in folder.rglob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if SUPPRESSION.search(line) and not REASONED.search(line)
    ]
    assert bare == []


# --- words that must not come back -----------------------------------------------------------------------------------

OLD_CLASSES = (
    "Patience Pass Delivery Glance Look Fate Given Oddities Remembered Copy Copies InTheWay Stretch Place ReadBack NoRoom "
    "Remarking Expiring _Anything Interface"
)
OLD_FUNCTIONS = "until() odd_but_legal read_plainly translate_stray many_lines one_line mend lacks"
OLD_VALUES = "_LOOKING_IS_AT_MOST_A _OF_A_JOURNAL _SUCH_AS _TIMES event_filter"
OLD_NAMES = frozenset(f"{OLD_CLASSES} {OLD_FUNCTIONS} {OLD_VALUES}".split())
"""Each was replaced by a name that says what the thing is. Only definitions count: the words themselves are ordinary.
`until()` is the old name of a function: an option and a field are called `until` too."""


def _definitions(source: str) -> set[str]:
    """Names of classes, functions (also with `()`), parameters, variables, attributes and aliases of imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names |= {name, f"{name}()"}
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                names.add(name)
    return names


def test_no_definition_has_an_old_name() -> None:
    found = {
        str(file.relative_to(ROOT)): sorted(old)
        for file in PACKAGE.rglob("*.py")
        if (old := _definitions(file.read_text()) & OLD_NAMES)
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "class Glance: ...",
        "def lacks(): ...",
        "async def until(self): ...",
        "_TIMES = 3",
        "_TIMES: int = 3",
        "for event_filter in (): ...",
        "def find(event_filter): ...",
        "self.event_filter = 1",
        "from a import b as mend",
    ],
)
def test_a_definition_with_an_old_name_is_noticed(source: str) -> None:
    assert _definitions(source) & OLD_NAMES


def test_a_word_in_prose_or_a_call_is_not_a_definition() -> None:
    assert (
        not _definitions('"""Look until the end: a Copy lacks nothing."""\nfield.mend(until=3)\nuntil = 1\n')
        & OLD_NAMES
    )


TREE = ("chatstore_cli", "tests", "docs", "scripts", "benchmarks", "examples")
UNPUBLISHED_NOTES = re.compile(r"\b(DES" + r"IGN|FA" + r"CTS)\b")
"""Two documents that a clone does not have. The reason for a rule stands where the rule is, or in docs/."""


def test_nothing_cites_notes_that_a_clone_does_not_have() -> None:
    folders = [ROOT / folder for folder in TREE if (ROOT / folder).is_dir()]
    files = [
        file for folder in folders for file in folder.rglob("*") if file.suffix in {".py", ".md", ".toml", ".yaml"}
    ]
    files += [file for file in ROOT.iterdir() if file.is_file()]
    citing = [str(file.relative_to(ROOT)) for file in files if UNPUBLISHED_NOTES.search(file.read_text())]
    assert sorted(citing) == []

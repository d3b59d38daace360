"""docs/cli.md is generated from the commands; tables, references and stored shapes of the other pages are complete."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chatstore_cli.cli.global_options import GlobalOptions
from chatstore_cli.cli.main import COMMANDS
from chatstore_cli.config.settings import ServerSettings, Settings, setting_types
from chatstore_cli.domain.errors import EXIT_MEANINGS
from chatstore_cli.mongo.call_sessions.documents import call_session_index_specs
from chatstore_cli.mongo.general import index_specs as general
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.mongo.messages import layout as messages
from chatstore_cli.mongo.phone_numbers.documents import binding_index_spec
from chatstore_cli.mongo.products.newest_calls import call_index_specs
from chatstore_cli.mongo.session_documents.segment_index import segment_index_specs
from chatstore_cli.mongo.threads import index_specs as threads
from chatstore_cli.mongo.usage.rows import usage_index_specs
from chatstore_cli.mongo.workflow.index_specs import index_specs
from tests.support.paths import ROOT

SCRIPT = ROOT / "scripts" / "generate_cli_docs.py"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cli_docs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()
EVERYTHING = [(path, command) for path, command, context in GENERATOR.commands() if context.parent is not None]
LEAVES = [(path, command) for path, command in EVERYTHING if not hasattr(command, "list_commands")]


def test_the_generated_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "cli.md"
    monkeypatch.setattr(GENERATOR, "PAGE", page)
    assert GENERATOR.main(["--check"]) == 1
    assert GENERATOR.main([]) == 0
    assert GENERATOR.main(["--check"]) == 0
    page.write_text(page.read_text().replace("chatstore usage", "chatstore use"))
    assert GENERATOR.main(["--check"]) == 1


def test_the_page_has_every_command() -> None:
    assert [path.split()[1] for path, _ in EVERYTHING if len(path.split()) == 2] == list(COMMANDS)


@pytest.mark.parametrize(("path", "command"), EVERYTHING, ids=[path for path, _ in EVERYTHING])
def test_every_command_has_help_and_is_on_the_page(path: str, command: Any) -> None:
    assert command.help
    assert command.help.strip().splitlines()[0].endswith(".")
    assert f"\n## {path}\n" in GENERATOR.PAGE.read_text()


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_command_ends_its_help_with_examples_and_exit_statuses(path: str, command: Any) -> None:
    examples, _, statuses = command.epilog.partition("Exit status:")
    assert f"{path}" in examples
    assert "    0  done" in statuses


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_option_of_every_command_has_help(path: str, command: Any) -> None:
    own = [option for option in command.params if option.name not in GlobalOptions.__annotations__]
    assert [option.name for option in own if option.param_type_name == "option" and not option.help] == []


# --- the pages that are written by hand ------------------------------------------------------------------------------

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LAYOUTS_PAGE = ROOT / "docs" / "layouts.md"


def _tables(text: str) -> list[list[int]]:
    """The cells of each line of each Markdown table; fenced blocks are left out."""
    tables: list[list[int]] = [[]]
    for line in re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        if line.startswith("|"):
            tables[-1].append(len(re.findall(r"(?<!\\)\|", line)) - 1)
        elif tables[-1]:
            tables.append([])
    return [cells for cells in tables if cells]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_row_of_a_table_has_as_many_cells_as_its_header(page: Path) -> None:
    tables = _tables(page.read_text(encoding="utf-8"))
    assert [cells for cells in tables if len(set(cells)) != 1 or len(cells) < 3] == []


def test_a_damaged_table_is_noticed() -> None:
    assert _tables("text\n| a | b |\n| --- |\n| 1 | 2 |\n\n| `a \\| b` |\n```\n| x |\n```\n") == [[2, 1, 2], [1]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_its_heading(layout: str) -> None:
    assert re.search(rf"^## {layout}: ", LAYOUTS_PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_layouts_page_has_every_index() -> None:
    page = LAYOUTS_PAGE.read_text(encoding="utf-8")
    specs = [*messages.index_specs(""), *index_specs(""), *segment_index_specs(""), *usage_index_specs("", "")]
    specs += [*threads.index_specs("", ""), *general.index_specs(""), *general.counter_index_specs("")]
    specs += [*call_index_specs(""), *call_session_index_specs(""), binding_index_spec("")]
    assert {spec.name for spec in specs if f"`{spec.name}`" not in page} == set()


# --- docs/architecture.md --------------------------------------------------------------------------------------------

ARCHITECTURE_PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "chatstore_cli"
PATH_WITH_NAME = re.compile(r"(?P<path>[\w./-]+(?:/|\.(?:py|md|json|yaml|toml)))(?:: (?P<name>[\w.]+))?")


def _missing_names(text: str) -> list[str]:
    """The backticked paths and `path: name` references of a page that do not exist.

    A path is relative to the package, to the repository or to docs/. A name is defined at the top of that file, or,
    written `Class.name`, in that class.
    """
    missing = []
    for reference in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        match = PATH_WITH_NAME.fullmatch(reference)
        if match is None:
            continue
        places = [folder / match["path"] for folder in (PACKAGE, ROOT, ROOT / "docs")]
        place = next((place for place in places if place.exists()), None)
        if place is None or (match["name"] and not _is_defined(ast.parse(place.read_text()), match["name"].split("."))):
            missing.append(reference)
    return missing


def _is_defined(node: ast.Module | ast.ClassDef, names: list[str]) -> bool:
    for statement in node.body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == names[0]:
            inner = isinstance(statement, ast.ClassDef) and _is_defined(statement, names[1:]) if names[1:] else True
            if inner:
                return True
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and [target.id] == names for target in targets):
            return True
    return False


@pytest.mark.parametrize("page", [ARCHITECTURE_PAGE, ROOT / "CONTRIBUTING.md"], ids=["architecture", "contributing"])
def test_every_path_and_name_of_the_page_exists(page: Path) -> None:
    assert _missing_names(page.read_text(encoding="utf-8")) == []


def test_a_path_or_name_that_does_not_exist_is_noticed() -> None:
    text = "`core/lru.py: LruMap.put` `core/lru.py: LruMap.absent` `core/absent.py` `core/lru.py: absent` `a.b`"
    assert _missing_names(text) == ["core/lru.py: LruMap.absent", "core/absent.py", "core/lru.py: absent"]


def test_the_architecture_page_explains_every_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    page = ARCHITECTURE_PAGE.read_text(encoding="utf-8")
    assert [contract["name"] for contract in contracts if f"| {contract['name']} | " not in page] == []


def test_the_architecture_page_names_every_package() -> None:
    drawing = ARCHITECTURE_PAGE.read_text(encoding="utf-8").partition("```text")[2].partition("```")[0]
    folders = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert [name for name in folders if f"  {name}/ " not in drawing] == []


# --- commands, options and settings that the pages name ---------------------------------------------------------------

OPTIONS = {name for _, command in EVERYTHING for option in command.params for name in option.opts} | {
    "--help",
    "--version",
    "--install-completion",
    "--show-completion",
}
OTHER_OPTIONS = {"--soak", "--strict", "--json"}
"""Options of pytest, of mypy and of curl."""
COMMAND_PATHS = {path for path, _ in EVERYTHING}
PROSE_PAGES = [page for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"] if page.name != "cli.md"]


def _code_spans(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


@pytest.mark.parametrize("page", PROSE_PAGES, ids=[page.name for page in PROSE_PAGES])
def test_every_option_that_a_page_names_exists(page: Path) -> None:
    named = {option for span in _code_spans(page) for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    assert named - OPTIONS - OTHER_OPTIONS == set()


@pytest.mark.parametrize("page", PROSE_PAGES, ids=[page.name for page in PROSE_PAGES])
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    named = [span for span in _code_spans(page) if re.match(r"chatstore [a-z]", span)]
    assert [span for span in named if not any(f"{span} ".startswith(f"{path} ") for path in COMMAND_PATHS)] == []


LOGGERS = {
    name
    for file in (ROOT / "chatstore_cli").rglob("*.py")
    for name in re.findall(r'getLogger\("([\w.]+)"\)', file.read_text())
}
"""Their names begin like those of settings in the block `chatstore`."""


@pytest.mark.parametrize("page", PROSE_PAGES, ids=[page.name for page in PROSE_PAGES])
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    sections = {field.name for field in dataclasses.fields(Settings)}
    keys = setting_types()
    spans = {span.partition(":")[0] for span in _code_spans(page)} - LOGGERS
    named = {span for span in spans if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", span) and span.split(".")[0] in sections}
    assert {span for span in named if not any(f"{key}.".startswith(f"{span}.") for key in keys)} == {
        span
        for span in named
        if span == "mongo.status"  # of an application's answer
    }


def test_the_readme_has_every_exit_status_with_its_meaning() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_MEANINGS.items()]
    assert [row for row in rows if row not in page] == []


def test_the_architecture_page_has_every_exit_status() -> None:
    page = ARCHITECTURE_PAGE.read_text(encoding="utf-8")
    assert [int(code) for code in EXIT_MEANINGS if f"\n| {int(code)} | " not in page] == []


def test_the_page_about_the_server_has_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    defaults = {field.name: field.default for field in dataclasses.fields(ServerSettings)}
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", page.partition("\n## Settings\n")[2], re.MULTILINE))
    assert defaults.keys() - rows.keys() == set()
    shown = {
        name: "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in defaults.items()
    }
    wrong = {name for name, value in shown.items() if value.split(",")[0] not in rows[name]}
    assert wrong == set()

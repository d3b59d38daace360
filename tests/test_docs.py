"""docs/cli.md says what the commands say, and every command says enough."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chatstore_cli.cli.main import COMMANDS
from chatstore_cli.cli.options import GlobalOptions

ROOT = Path(__file__).parent.parent
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
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "cli.md"
    monkeypatch.setattr(GENERATOR, "PAGE", page)
    assert GENERATOR.main(["--check"]) == 1
    assert GENERATOR.main([]) == 0
    assert GENERATOR.main(["--check"]) == 0
    page.write_text(page.read_text().replace("chatstore usage", "chatstore use"))
    assert GENERATOR.main(["--check"]) == 1


def test_every_command_of_the_table_is_there() -> None:
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

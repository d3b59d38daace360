"""Generate docs/cli.md from the commands. With --check, only report whether the page is up to date."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatstore_cli.cli.global_options import GlobalOptions
from chatstore_cli.cli.main import root_command
from chatstore_cli.domain.errors import EXIT_MEANINGS

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
INTRODUCTION = """\
# The command line

<!-- Generated from the commands by scripts/generate_cli_docs.py: change those, then run `make docs`. -->

Results are printed on stdout, notices and errors on stderr. The global options are accepted before and after the name
of a command. A command that lists no other exit statuses exits with status 0, 1, 2 or 130.
"""


def walk(command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    """This command and all commands below it, each with its full name and context, in the order of the help."""
    yield context.command_path, command, context
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from walk(child, child.context_class(child, info_name=name, parent=context))


def commands() -> list[tuple[str, Any, Any]]:
    """All commands and groups: (full name, command, context)."""
    root = root_command()
    return list(walk(root, root.context_class(root, info_name="chatstore")))


def page() -> str:
    """The text of docs/cli.md."""
    sections = [INTRODUCTION]
    for path, command, context in commands():
        if context.parent is None:
            sections += [_root(command, context), _exit_statuses()]
        elif hasattr(command, "list_commands") and not command.invoke_without_command:
            sections.append(f"## {path}\n\n{help_text(command)}\n")
        else:
            sections.append(_command(path, command, context))
    return "\n".join(sections)


def _root(command: Any, context: Any) -> str:
    shown = [option for option in _options(command) if not option.hidden]
    lines = [f"- [`{path}`](#{path.replace(' ', '-')})" for path, other, _ in commands() if _is_leaf(other)]
    return "\n".join(["## Commands", "", *lines, "", "## Global options", "", *_option_table(shown, context)])


def _is_leaf(command: Any) -> bool:
    return not hasattr(command, "list_commands")


def _exit_statuses() -> str:
    rows = [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_MEANINGS.items()]
    return "\n".join(["## Exit statuses", "", "| status | meaning |", "| ---: | --- |", *rows, ""])


def _command(path: str, command: Any, context: Any) -> str:
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", "", help_text(command), "", "```text", usage, "```", ""]
    options = [option for option in _options(command) if option.name not in GlobalOptions.__annotations__]
    if options:
        parts += _option_table(options, context)
    if command.epilog:
        # The last paragraph is about the global options, which the page describes once.
        kept = command.epilog.rpartition("\n\n")[0]
        parts += ["```text", kept, "```", ""]
    return "\n".join(parts)


def help_text(command: Any) -> str:
    """The help of a command, without its examples and exit statuses."""
    return inspect.cleandoc(command.help or "").replace("\b\n", "")


def _options(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "option"]


def option_records(parameters: list[Any], context: Any) -> list[tuple[str, str]]:
    """The names and the help of each option, and of arguments that have a help."""
    return [
        parameter.get_help_record(context) or (", ".join(parameter.opts), parameter.help or "")
        for parameter in parameters
    ]


def _option_table(options: list[Any], context: Any) -> list[str]:
    records = option_records(options, context)
    rows = [f"| `{_cell(names)}` | {_cell(' '.join(meaning.split()))} |" for names, meaning in records]
    return ["| option | meaning |", "| --- | --- |", *rows, ""]


def _cell(text: str) -> str:
    # A pipe ends the cell of a table, even in code.
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with --check. Returns 1 if it is out of date."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/cli.md is out of date: run `make docs`.", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

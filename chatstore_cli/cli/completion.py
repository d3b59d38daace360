"""Shell completion by Typer: what a shell requests while a command line is typed, and the script that makes it ask.

An error message in the middle of a command line would help nobody, so every failure means that nothing is offered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from chatstore_cli.domain.errors import ExitCode, NotAllowed, WrongUse

VARIABLE = "_CHATSTORE_COMPLETE"
"""The environment variable by which a shell requests completions, and a user requests the script for a shell."""
PROGRAM = "chatstore"
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
_BREAKS = re.compile(r"[:=@]+")
"""Characters inside an id at which Bash breaks words."""


def complete(root: Any, instruction: str) -> int:
    """Print what a shell requests, for example `source_bash` or `complete_bash`, and return the exit status."""
    from typer.completion import completion_init, shell_complete  # type: ignore[attr-defined]  # it is not in an __all__

    completion_init()
    if not instruction.startswith("complete_"):
        return shell_complete(root, {}, PROGRAM, VARIABLE, instruction)
    typed = _join_words_of_bash() if instruction == "complete_bash" else ""
    offered = StringIO()
    try:
        with redirect_stdout(offered), redirect_stderr(StringIO()):
            status: Any = shell_complete(root, {}, PROGRAM, VARIABLE, instruction)
    except SystemExit as ended:  # Fish gets an exit status as the answer to some requests
        status = ended.code
    except Exception:  # noqa: BLE001 - see above
        return ExitCode.DONE
    lines = offered.getvalue().splitlines()
    print(*(line.removeprefix(typed) for line in lines), sep="\n", end="\n" if lines else "")  # noqa: T201 - the answer
    return int(status or 0)


def completed(words: Mapping[str, str]) -> list[Any]:
    """Words with their summaries, as Typer's completions."""
    from typer._click.shell_completion import CompletionItem  # Typer has no public name for it

    return [CompletionItem(word, help=summary) for word, summary in words.items()]


def _join_words_of_bash() -> str:
    """Join the words that Bash has broken at a colon, an equals sign or an at sign. They are parts of one id.

    Bash replaces only the part behind the last break, and an at sign before it. Returns the text before that part, which
    the answer must not repeat.
    """
    words = os.environ.get("COMP_WORDS", "").split("\n")
    try:
        current = int(os.environ.get("COMP_CWORD", ""))
    except ValueError:
        return ""
    if current >= len(words):  # not from the script of Bash
        return ""
    joined: list[str] = []
    before = ""
    is_open = False
    for word in words[: current + 1]:
        is_break = _BREAKS.fullmatch(word) is not None
        if joined and (is_break or is_open):
            before = joined[-1] + (word if is_break else "")
            joined[-1] += word
        else:
            before = ""
            joined.append(word)
        is_open = is_break
    os.environ |= {"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(max(len(joined) - 1, 0))}
    before = before.removesuffix("@")
    is_option = before.startswith("--") and "=" in before
    return before.partition("=")[2] if is_option else before


def install_script() -> str:
    """Install the script of the user's shell with Typer, and return a notice. Raises WrongUse, NotAllowed."""
    from typer.completion import install  # type: ignore[attr-defined]  # it is not in an __all__

    try:
        shell, path = install(shell=_own_shell(), prog_name=PROGRAM, complete_var=VARIABLE)
    except OSError as error:
        what = f"Cannot install the completion: {error.strerror}: {error.filename}."
        raise NotAllowed(what=what, hint="Print the script with --show-completion, and store it yourself.") from error
    return f"Installed the completion of {shell} in {path}. It works in shells that are started from now on."


def script(shell: str | None = None) -> str:
    """The script of a shell, by default of the user's own. Raises WrongUse if the shell is not known."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # it is not in an __all__

    return str(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell or _own_shell()))


def _own_shell() -> str:
    """The shell that has started this process, else the one that SHELL names."""
    from shellingham import ShellDetectionFailure, detect_shell

    try:
        name = str(detect_shell()[0])
    except (ShellDetectionFailure, OSError):
        name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        what = f"The shell {name!r} has no completion." if name else "The shell cannot be detected."
        raise WrongUse(what=what, hint=f"Set SHELL to one of these: {', '.join(SHELLS[:3])}.")
    return name

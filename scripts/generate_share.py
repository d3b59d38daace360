"""Write the man pages and the completion scripts that the wheel installs under `share`: build/share, or another folder.

There is a page for the whole command line and one for each command or group below it. They are made from the commands, as
docs/cli.md is. click-man cannot do it: it reads the classes of click, and Typer has its own.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generate_cli_docs import commands, help_text, option_records

from chatstore_cli import __version__
from chatstore_cli.cli.completion import script
from chatstore_cli.cli.global_options import GlobalOptions
from chatstore_cli.domain.errors import EXIT_MEANINGS

FOLDER = Path(__file__).parent.parent / "build" / "share"
COMPLETIONS = {
    "bash": "bash-completion/completions/chatstore",
    "zsh": "zsh/site-functions/_chatstore",
    "fish": "fish/vendor_completions.d/chatstore.fish",
}
"""The places where the shells look for scripts of programs, below a `share`."""
SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "~": r"\(ti", "^": r"\(ha"}
ENVIRONMENT = {
    "CHATSTORE_URI, CHATSTORE_DATABASE": "The server and the database, as --uri and --database.",
    "CHATSTORE_CONFIG, CHATSTORE_PROFILE": "The configuration file and its profile, as --config and --profile.",
    "CHATSTORE_<SECTION>__<KEY>": "Any other setting: `chatstore config show` lists them.",
    "CHATSTORE_PAGER, PAGER": "The pager for long output on a terminal.",
    "NO_COLOR, FORCE_COLOR": "Whether output is coloured, if --color does not decide.",
}


def roff(text: str) -> str:
    """The text, of which roff interprets nothing."""
    return "".join(SPECIAL.get(sign) or (sign if sign.isascii() else rf"\[u{ord(sign):04X}]") for sign in text)


def line(text: str) -> str:
    """One line of text. A dot or a quote at its beginning is not a request. `Code` is bold."""
    parts = text.split("`")
    marked = (rf"\fB{roff(part)}\fR" if number % 2 else roff(part) for number, part in enumerate(parts))
    return rf"\&{''.join(marked)}"


def verbatim(text: str) -> list[str]:
    """Lines that keep their breaks and blanks."""
    return [".PP", ".nf", *(rf"\&{roff(each)}" for each in text.splitlines()), ".fi"]


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help text."""
    for paragraph in text.split("\n\n"):
        yield from (".PP", line(" ".join(paragraph.split())))


def definitions(items: list[tuple[str, str]]) -> Iterator[str]:
    """Terms, each with its meaning."""
    for term, meaning in items:
        yield from (".TP", rf"\fB{roff(term)}\fR", line(" ".join(meaning.split())))


def body(path: str, command: Any, context: Any, heading: str) -> Iterator[str]:
    """The usage, help, options and examples of one command. Its parts have headings of this level."""
    yield from (".PP", rf"\fB{roff(path)}\fR {roff(' '.join(command.collect_usage_pieces(context)))}")
    yield from paragraphs(help_text(command))
    options = [option for option in command.params if option.name not in GlobalOptions.__annotations__]
    yield from definitions(option_records(options, context))
    for block in (command.epilog or "").split("\n\n")[:-1]:  # the last one names the global options
        title, _, rest = block.partition("\n")
        yield from (f"{heading} {roff(title.rstrip(':'))}", *verbatim(rest))


def page(name: str, summary: str, content: Iterator[str], see_also: list[str]) -> str:
    """A whole man page."""
    head = f'.TH {roff(name.upper())} 1 "" "chatstore {__version__}" "chatstore"'
    others = ", ".join(rf"\fB{roff(other)}\fR(1)" for other in see_also)
    name_line = rf"{roff(name)} \- {roff(summary.rstrip('.'))}"
    return "\n".join([head, ".nh", ".ad l", ".SH NAME", name_line, *content, ".SH SEE ALSO", others, ""])


def first_sentence(text: str) -> str:
    """The summary of a command, on one line."""
    return " ".join(text.split("\n\n")[0].split())


def main_content(command: Any, context: Any, topics: list[tuple[str, str]]) -> Iterator[str]:
    """The page of the whole command line."""
    yield from (".SH SYNOPSIS", r"\fBchatstore\fR [OPTIONS] COMMAND [ARGS]...", ".SH DESCRIPTION")
    yield from paragraphs(help_text(command))
    yield from (".SH COMMANDS", *definitions(topics))
    yield from (".SH OPTIONS", line("All commands accept these options, before and after the name of the command."))
    yield from definitions(option_records(command.params, context))
    yield ".SH EXIT STATUS"
    yield from definitions([(str(int(code)), meaning) for code, meaning in EXIT_MEANINGS.items()])
    yield from (".SH ENVIRONMENT", *definitions([*ENVIRONMENT.items()]))
    yield ".SH FILES"
    yield from definitions([("config.yaml", "The configuration. `chatstore config init` writes it with all settings.")])


def topic_content(members: list[tuple[str, Any, Any]]) -> Iterator[str]:
    """The page of a command, or of a group with all commands below it."""
    path, command, context = members[0]
    is_group = len(members) > 1
    yield ".SH DESCRIPTION"
    if is_group and not command.invoke_without_command:
        yield from paragraphs(help_text(command))
    else:
        yield from body(path, command, context, ".SS" if is_group else ".SH")
    for path, command, context in members[1:]:
        if not hasattr(command, "list_commands"):
            yield from (f".SH {roff(path.removeprefix('chatstore ')).upper()}", *body(path, command, context, ".SS"))


def man_pages() -> dict[str, str]:
    """The pages by the names of their files."""
    (_, root, root_context), *others = commands()
    by_topic: dict[str, list[tuple[str, Any, Any]]] = {}
    for path, command, context in others:
        by_topic.setdefault("-".join(path.split()[:2]), []).append((path, command, context))
    summaries = {topic: first_sentence(help_text(members[0][1])) for topic, members in by_topic.items()}
    topics = [(topic.removeprefix("chatstore-"), summary) for topic, summary in summaries.items()]
    pages = {
        topic: page(topic, summaries[topic], topic_content(members), ["chatstore"])
        for topic, members in by_topic.items()
    }
    content = main_content(root, root_context, topics)
    pages["chatstore"] = page("chatstore", first_sentence(help_text(root)), content, sorted(pages))
    return {f"man/man1/{name}.1": text for name, text in pages.items()}


def write(folder: Path) -> None:
    """Replace the content of the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    scripts = {path: script(shell) + "\n" for shell, path in COMPLETIONS.items()}
    for name, text in {**man_pages(), **scripts}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

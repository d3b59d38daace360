"""How errors are told: one line on stderr, or one JSON object there with `-o json`."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.render.safe import many_lines


def write_error(kind: str, message: str, hint: str | None, code: int, arguments: Sequence[str]) -> None:
    """Write the error to stderr; the arguments tell whether as JSON, even where parsing them is what failed."""
    if _wants_json(arguments):
        from chatstore_cli.render.formats import as_json

        told = {"error": {"code": code, "kind": kind, "message": message, "hint": hint}}
        sys.stderr.write(as_json(told, indented=False) + "\n")
    else:
        stop = "" if not hint or message.endswith((".", "!", "?", ":")) else "."
        sys.stderr.write(many_lines(f"chatstore: {message}{stop}" + (f" {hint}" if hint else "")) + "\n")
    sys.stderr.flush()


def translated(error: Exception) -> ChatstoreError | None:
    """The error of ours that stands for a driver's or the system's error that no adapter caught; else None."""
    from chatstore_cli.wiring.system import translate_stray

    return translate_stray(error)


def write_crash_log(error: Exception, arguments: Sequence[str]) -> str:
    """Write the traceback to a file in the state folder (or the temporary folder) and give its path."""
    import tempfile
    from datetime import UTC, datetime

    from chatstore_cli.domain.secrets import masked

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    details = "".join(traceback.format_exception(error))
    text = masked(f"{stamp} chatstore {' '.join(_without_headers(arguments))}\n{details}")
    for folder in (_state_folder(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / f"chatstore-error-{stamp}.log"
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return str(path)
    return "no file: no folder could be written"


def _without_headers(arguments: Sequence[str]) -> list[str]:
    """The arguments without what authorises requests: values of --header, and whatever stands before a URL's host."""
    shown = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        if before == "--header":
            word = word.partition(":")[0] + ": ***"
        elif word.startswith("--header="):
            word = word.partition(":")[0] + ": ***" if ":" in word else "--header=***"
        elif "http" in word:
            word = re.sub(r"//[^/\s]*@", "//***@", word)
        shown.append(word)
    return shown


def _state_folder() -> Path:
    import platformdirs

    return platformdirs.user_log_path("chatstore")


def _wants_json(arguments: Sequence[str]) -> bool:
    words = list(arguments)
    for position, word in enumerate(words):
        if word in {"-ojson", "--output=json"}:
            return True
        if word in {"-o", "--output"} and words[position + 1 : position + 2] == ["json"]:
            return True
    return False

"""Prints errors: one line on stderr, or one JSON object on stderr with `-o json`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from chatstore_cli.domain.errors import BadLines, NeedsConfirmation
from chatstore_cli.domain.secrets import masked, masked_uri
from chatstore_cli.render.safe import sanitize_line, sanitize_text


def write_error(kind: str, message: str, hint: str | None, code: int, arguments: Sequence[str]) -> None:
    """Write the error to stderr, as JSON if the arguments ask for JSON, even if they cannot be parsed."""
    if _wants_json(arguments):
        from chatstore_cli.render.json_text import as_json

        error = {"code": code, "kind": kind, "message": message, "hint": hint}
        sys.stderr.write(as_json({"error": error}, indented=False) + "\n")
    else:
        stop = "" if not hint or message.endswith((".", "!", "?", ":")) else "."
        # A plan that needs a confirmation has several lines. Another error may name a file that has line feeds.
        sanitize = sanitize_text if kind in (NeedsConfirmation.kind, BadLines.kind) else sanitize_line
        sys.stderr.write(sanitize(f"chatstore: {message}{stop}" + (f" {hint}" if hint else "")) + "\n")
    sys.stderr.flush()


def write_crash_log(error: Exception, arguments: Sequence[str]) -> str:
    """Write the traceback to a file in the log folder, or the temporary folder if that fails, and return its path."""
    import tempfile
    from datetime import UTC, datetime

    import platformdirs

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    details = "".join(traceback.format_exception(error))
    text = masked(f"{stamp} chatstore {' '.join(_without_credentials(arguments))}\n{details}")
    for folder in (platformdirs.user_log_path("chatstore"), Path(tempfile.gettempdir())):
        path = folder / f"chatstore-error-{stamp}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(path, "x", encoding="utf-8", errors="backslashreplace", opener=_private_file) as stream:
                stream.write(text)
        except OSError:
            continue
        return str(path)
    return "(none: no folder is writable)"


def _private_file(path: str, flags: int) -> int:
    """Open a file that only its owner may read: the temporary folder is everybody's."""
    return os.open(path, flags, 0o600)


def _without_credentials(arguments: Sequence[str]) -> list[str]:
    """The arguments with credentials replaced by `***`: values of --header, and user and password of URIs."""
    safe_words = []
    for previous, word in zip(["", *arguments], arguments, strict=False):
        if previous == "--header":
            word = word.partition(":")[0] + ": ***"
        elif word.startswith("--header="):
            word = word.partition(":")[0] + ": ***" if ":" in word else "--header=***"
        elif "//" in word:
            word = masked_uri(word)
        safe_words.append(word)
    return safe_words


def _wants_json(arguments: Sequence[str]) -> bool:
    return any(
        word in {"-ojson", "--output=json"} or (word in {"-o", "--output"} and following == "json")
        for word, following in zip(arguments, [*arguments[1:], ""], strict=True)
    )

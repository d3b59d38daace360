"""What `chatstore config check` says about settings that are legal, and odd."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from chatstore_cli.config.settings import Configuration
from chatstore_cli.config.sources import Problem


def find_unusual_settings(configuration: Configuration) -> Iterator[Problem]:
    """Warnings about settings in force; nothing is connected or resolved for them."""
    mongo = configuration.settings.mongo
    sources = configuration.sources

    def odd(key: str, what: str, hint: str) -> Problem:
        return Problem(sources[key], f"{key}: {what}", hint, serious=False)

    if not mongo.enabled:
        yield odd("mongo.enabled", "the database is switched off.", "Only journals can be read like this.")
    if mongo.write_concern == "0":
        yield odd("mongo.write_concern", "writes are not acknowledged at all.", "A lost message is not even noticed.")
    elif mongo.write_concern != "majority":
        what = f"{mongo.write_concern} instead of majority."
        yield odd("mongo.write_concern", what, "An acknowledged write can be lost when another node becomes primary.")
    if not mongo.journaled:
        what = "writes are acknowledged before they are on disk."
        yield odd("mongo.journaled", what, "An acknowledged write can be lost when the server loses power.")
    if mongo.timeout_seconds < 1 or mongo.timeout_seconds > 120:
        what = f"{mongo.timeout_seconds:g} seconds is {'short' if mongo.timeout_seconds < 1 else 'long'}."
        yield odd("mongo.timeout_seconds", what, "From 1 to 120 is usual.")
    yield from (odd("mongo.uri", what, hint) for what, hint in _odd_about_uri(mongo.uri, mongo.database))
    yield from _readable_password(configuration)


def _odd_about_uri(uri: str, database: str) -> Iterator[tuple[str, str]]:
    if not uri.startswith("mongodb"):
        return
    try:
        parts = urlsplit(uri)
    except ValueError:
        return
    options = {name.lower(): value for name, value in parse_qsl(parts.query)}
    named = parts.path.strip("/")
    if named and named != database:
        yield (
            f"it names the database {named}, and chatstore uses {database}.",
            "mongo.database (--database, CHATSTORE_DATABASE) decides; in the URI it only says where the user is known.",
        )
    for name in ("w", "journal", "j"):
        if name in options:
            yield f"its option {name} has no effect.", "mongo.write_concern and mongo.journaled decide."
    for name in ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames"):
        if options.get(name, "").lower() == "true":
            yield f"its option {name} lets anybody stand between.", "Give the authority with tlsCAFile instead."


def _readable_password(configuration: Configuration) -> Iterator[Problem]:
    source = configuration.sources["mongo.uri"]
    file = next((path for path in configuration.files if source.rpartition(":")[0] == str(path)), None)
    if file is None or " $" in source or not re.search(r"://[^/@\s]*:[^/\s]+@", configuration.settings.mongo.uri):
        return
    if stat.S_IMODE(file.stat().st_mode) & 0o044:
        what = "mongo.uri: a password stands in a file that others can read."
        yield Problem(source, what, f"chmod 600 {file}, or put it into a variable.", serious=False)

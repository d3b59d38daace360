"""Warnings of `chatstore config check` about valid but unusual settings.

A value that comes from a variable is not quoted: the variable may have a secret.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from chatstore_cli.config.loading import Configuration
from chatstore_cli.config.server_advice import unusual_server_settings
from chatstore_cli.config.sources import Problem, has_variables


def find_unusual_settings(configuration: Configuration) -> Iterator[Problem]:
    """Warnings about the values in use. Nothing is connected or resolved."""
    mongo = configuration.settings.mongo
    sources = configuration.sources

    def warning(key: str, what: str, hint: str) -> Problem:
        return Problem(sources[key], f"{key}: {what}", hint, serious=False)

    if not mongo.enabled:
        yield warning("mongo.enabled", "the database is disabled.", "Only journals can be read.")
    if mongo.write_concern == "0":
        yield warning("mongo.write_concern", "writes are not acknowledged at all.", "A lost message is not noticed.")
    elif mongo.write_concern != "majority":
        value = "another value" if has_variables(sources["mongo.write_concern"]) else mongo.write_concern
        what = f"{value} instead of majority."
        yield warning(
            "mongo.write_concern", what, "An acknowledged write can be lost when another node becomes primary."
        )
    if not mongo.journaled:
        what = "writes are acknowledged before they are on disk."
        yield warning("mongo.journaled", what, "An acknowledged write can be lost when the server loses power.")
    if mongo.timeout_seconds < 1 or mongo.timeout_seconds > 120:
        what = f"{mongo.timeout_seconds:g} seconds is {'short' if mongo.timeout_seconds < 1 else 'long'}."
        yield warning("mongo.timeout_seconds", what, "Usual values are 1 to 120 seconds.")
    is_quoted = not has_variables(sources["mongo.uri"]) and not has_variables(sources["mongo.database"])
    for what, hint in _unusual_in_uri(mongo.uri, mongo.database, is_quoted=is_quoted):
        yield warning("mongo.uri", what, hint)
    threads = configuration.settings.chatstore.threads
    if threads.uri is not None and threads.backend == "mongodb":
        hint = "To store threads in PostgreSQL, set chatstore.threads.backend: postgresql."
        yield warning("chatstore.threads.uri", "it has no effect, because the backend is mongodb.", hint)
    if threads.backend == "postgresql" and threads.uri is not None:
        options = dict(parse_qsl(threads.uri.partition("?")[2]))
        if options.get("sslmode") == "require" and "sslrootcert" not in options:
            what = "sslmode=require does not check the certificate of the server."
            yield warning("chatstore.threads.uri", what, "Use sslmode=verify-full with sslrootcert.")
    for key, what, hint in unusual_server_settings(configuration.settings.chatstore.server):
        yield warning(f"chatstore.server.{key}", what, hint)
    for key, uri in (("mongo.uri", mongo.uri), ("chatstore.threads.uri", threads.uri or "")):
        yield from _readable_password(configuration, key, uri)


def _unusual_in_uri(uri: str, database: str, *, is_quoted: bool) -> Iterator[tuple[str, str]]:
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
            f"it names the database {named}, but chatstore uses {database}."
            if is_quoted
            else "it names another database than mongo.database.",
            "mongo.database (--database, CHATSTORE_DATABASE) is used. The URI only names the database of the user's account.",
        )
    for name in ("w", "journal", "j"):
        if name in options:
            yield f"its option {name} has no effect.", "mongo.write_concern and mongo.journaled are used."
    for name in ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames"):
        if options.get(name, "").lower() == "true":
            yield (
                f"its option {name} allows man-in-the-middle attacks.",
                "Name the certificate authority with tlsCAFile instead.",
            )


def _readable_password(configuration: Configuration, key: str, uri: str) -> Iterator[Problem]:
    source = configuration.sources[key]
    file = next((path for path in configuration.files if source.rpartition(":")[0] == str(path)), None)
    if file is None or has_variables(source) or not re.search(r"//\S*:\S*@", uri):
        return
    if stat.S_IMODE(file.stat().st_mode) & 0o044:
        what = f"{key}: a file that others can read has a password."
        yield Problem(source, what, f"Run chmod 600 {file}, or put the password into a variable.", serious=False)

"""The form of `mongo.uri`: what can be wrong with it before a driver reads it. Nothing here quotes the URI."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from chatstore_cli.domain.secrets import hosts_of

SCHEMES = ("mongodb://", "mongodb+srv://", "mongomock://")
POSTGRES_SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")
_QUOTES = "\"'`“”‘’"
_EXPECTED = (
    "`embedded`, mongomock://, or a URI with mongodb:// or mongodb+srv:// in which user, password and options are "
    "percent-encoded (@ is %40, / is %2F, ? is %3F)"
)


def flaw_of_uri(uri: str) -> str | None:
    """What the URI should be, as the end of a sentence: "its value is not …". None if its form is valid.

    A password in a wrong part would be printed as a host, an option or a database.
    """
    bare = uri.strip().strip(_QUOTES).strip()
    if bare != uri and (bare == "embedded" or bare.startswith(SCHEMES)):
        if any(sign in _QUOTES for sign in (uri.strip()[0], uri.strip()[-1])):
            return "a URI, because it is in quotes: remove them"
        return "a URI, because it begins or ends with blanks: remove them"
    if uri == "embedded":
        return None
    if not uri.startswith(SCHEMES):
        return _EXPECTED
    if re.search(r"\s", uri):
        return "a URI, because it has a blank or a line break: write a blank as %20"
    if any(_has_no_number_as_port(host) for host in hosts_of(uri).split(",")):
        return "a URI, because the port of a host is not a number: user and password must end with @"
    path = re.match(r"[^/?]*(/[^?]*)?(.*)", uri.partition("://")[2])
    return _EXPECTED if path and (":" in (path[1] or "") or "@" in f"{path[1]}{path[2]}") else None


def flaw_of_postgres_uri(uri: str) -> str | None:
    """What the URI of a PostgreSQL server should be, as the end of a sentence. None if its form is valid."""
    if not uri.startswith(POSTGRES_SCHEMES):
        return "a URI like postgresql://USER:PASSWORD@HOST:5432/DATABASE, without quotes"
    if re.search(r"\s", uri):
        return "a URI, because it has a blank or a line break: write a blank as %20"
    authority, _, rest = uri.partition("://")[2].partition("/")
    if any(_has_no_number_as_port(host) for host in hosts_of(uri).split(",")) or authority.count("@") > 1:
        return "a URI in which user and password are percent-encoded and end with @ (@ is %40, / is %2F, ? is %3F)"
    if "@" in rest.partition("?")[0]:
        return "a URI in which user and password are percent-encoded (@ is %40, / is %2F, ? is %3F)"
    return None


def _has_no_number_as_port(host: str) -> bool:
    """Whether a host has most likely a password in place of its port. An IPv6 address is in brackets."""
    _, colon, port = host.rpartition("]")[2].partition(":")
    return bool(colon) and not port.isdecimal()


def account_database(uri: str) -> str | None:
    """The database in the path of a URI with a user and without authSource, which the driver takes for the user's.

    None if the user is looked up elsewhere. The DNS record of a mongodb+srv:// URI may name an authSource too.
    """
    before, at, after = uri.removeprefix("mongodb://").rpartition("@")
    path, _, query = after.partition("/")[2].partition("?")
    options = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    if (
        not uri.startswith("mongodb://")
        or not at
        or not before
        or not path
        or options & {"authsource", "authmechanism"}
    ):
        return None
    return unquote(path)

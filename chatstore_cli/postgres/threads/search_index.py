"""The text index of messages on PostgreSQL, and the queries that it serves.

Its expression cuts a text where `core/search/words.py` cuts it, and at some more places: the parser of PostgreSQL would
keep addresses and paths in one piece. A message whose text is not only a text, or is longer than a tsvector can hold, has
the mark `#` in the index, which no word is. chatstore indexes apply --search makes the index; no migration does, because
every write takes longer with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, TextClause, text

from chatstore_cli.core.search.words import small_letters
from chatstore_cli.domain.byte_sizes import format_bytes
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.schema import MESSAGES

INDEX = "chat_messages_search_idx"
LONGEST_TEXT = 250_000
"""Characters. A tsvector can have 1 MiB, and a character up to 4 bytes."""
_LONGEST_WORD = 500
"""Characters. PostgreSQL leaves words of more than 2 KiB out of an index."""
_SPACES = (
    r"[\u0001-\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u007e\u0085\u00a0-\u00a7\u00a9\u00ab-\u00ae\u00b0-\u00b1"
    r"\u00b6\u00bb\u00bf\u00d7\u00f7\u037e\u0387\u0589-\u058a\u05be\u05c3\u060c\u061b\u061f\u06d4\u0700-\u070c"
    r"\u07f8-\u07f9\u0830-\u083e\u085e\u0964-\u0965\u0e5a-\u0e5b\u0f08-\u0f12\u104a-\u104b\u1361-\u1368\u1400"
    r"\u166d-\u1680\u16eb-\u16ed\u1735-\u1736\u17d4-\u17da\u1802-\u1809\u1944-\u1945\u1aa8-\u1aab\u1b5a-\u1b5f"
    r"\u1c3b-\u1c3f\u1c7e-\u1c7f\u2000-\u205f\u207b-\u208b\u2190-\u245f\u2500-\u2775\u2794-\u2bff\u2e00-\u2e7f"
    r"\u3000-\u3030\u30a0\u30fb\ua4fe-\ua4ff\ua60d-\ua60f\ua6f3-\ua6f7\ua876-\ua877\ua8ce-\ua8cf\ua92f"
    r"\ua9c7-\ua9c9\uaa5d-\uaa5f\uaadf-\uaaf1\uabeb\ufd3e-\ufd3f\ufe31-\ufe63\uff01-\uff02\uff07\uff0c-\uff0e"
    r"\uff1a-\uff1b\uff1f\uff61-\uff65]+"
)
"""What separates words: all separators of core/search/words.py."""
_FOLDED = (
    "\xb5\u017f\u0345\u03c2\u03d0\u03d1\u03d5\u03d6\u03f0\u03f1\u03f5\u1e9b",
    "\u03bcs\u03b9\u03c3\u03b2\u03b8\u03c6\u03c0\u03ba\u03c1\u03b5\u1e61",
)
"""Letters that a search takes for others, and that are not their capital letters."""


def _words(value: str) -> str:
    """The SQL of the text `value` with a space wherever words are separated."""
    folded = f"translate(normalize({value}), '{_FOLDED[0]}', '{_FOLDED[1]}')"
    return f"regexp_replace({folded}, '{_SPACES}', ' ', 'g')"


_IS_TEXT = f"""jsonb_typeof(content->'text') = 'string' AND coalesce(content->>'type', 'text') = 'text'
    AND NOT jsonb_exists(content, 'tool_calls') AND NOT coalesce(jsonb_exists(content->'metadata', 'tool_calls'), false)
    AND length(content->>'text') <= {LONGEST_TEXT}"""
EXPRESSION = f"""(CASE WHEN {_IS_TEXT}
    THEN to_tsvector('simple', {_words("content->>'text'")}) ELSE CAST('#' AS tsvector) END)"""
"""What the index has. A query must have the same text to use the index. Its colons are those of no parameter."""
_CREATION = f"CREATE INDEX CONCURRENTLY {INDEX} ON {MESSAGES.name} USING gin ({EXPRESSION})"

OTHERS = "CAST('#' AS tsquery)"


def words_query(number: int) -> str:
    """The SQL of the tsquery for the parameters `word0`, `word1`, ..."""
    return " && ".join(f"plainto_tsquery('simple', {_words(f'CAST(:word{place} AS text)')})" for place in range(number))


def sql(statement: str) -> TextClause:
    """A statement whose only colons are those of parameters."""
    return text(statement)


def can_be_used(connection: Connection, words: Iterable[str]) -> bool:
    """Whether the index exists and finds every message that has these words."""
    known = [word for word in words if len(word) <= _LONGEST_WORD]
    exists = connection.scalar(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": INDEX}
    )
    return bool(exists) and bool(known) and all(_is_known(connection, word) for word in known)


def _is_known(connection: Connection, word: str) -> bool:
    """Whether the index has the word, and this database takes its letters for equal to their capital letters."""
    letters = {letter for letter in word if not letter.isascii()}
    cases = [(case, letter) for letter in letters for case in (letter.upper(), letter.title())]
    equal = [pair for pair in cases if len(pair[0]) == 1 and small_letters(pair[0]) == pair[1]]
    parts = connection.scalar(sql(f"SELECT numnode({words_query(1)})"), {"word0": word})
    if not parts or not equal:
        return bool(parts)
    statement = text(
        "SELECT bool_and(lower(a) = lower(b)) FROM unnest(CAST(:a AS text[]), CAST(:b AS text[])) AS t(a, b)"
    )
    return bool(connection.scalar(statement, {"a": [a for a, _ in equal], "b": [b for _, b in equal]}))


class SearchIndex:
    """The index of one database, for `chatstore indexes`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def exists(self) -> bool:
        """Whether the index exists and is complete."""
        statement = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
        return bool(
            self._database.read(
                "looking for the index of searches", lambda reader: reader.scalar(statement, {"name": INDEX})
            )
        )

    def plan(self) -> str:
        """What creating it means, in words."""
        statement = text(
            f"""SELECT reltuples, coalesce((SELECT avg(length(tsvector_size)) FROM (
                SELECT content->>'text' AS tsvector_size FROM {MESSAGES.name} TABLESAMPLE SYSTEM (1) LIMIT 1000) AS s), 0)
                FROM pg_class WHERE oid = to_regclass('{MESSAGES.name}')"""
        )
        rows, characters = self._database.read("estimating an index", lambda reader: reader.execute(statement).one())
        count = max(0, int(rows))
        size = format_bytes(count * float(characters) * _BYTES_PER_CHARACTER)
        return f"create {INDEX} on {MESSAGES.name}: about {size} for {quantity(count, 'message')}; every write takes longer"

    def create(self) -> None:
        """Build the index while messages are written. What an interrupted build left is dropped first."""
        self._database.outside_transaction("dropping an incomplete index", f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        self._database.outside_transaction("creating the index of searches", _CREATION)


_BYTES_PER_CHARACTER = 0.48
"""Of the index, for each character of the texts, as measured with 300,000 messages of 140 characters on PostgreSQL 18."""

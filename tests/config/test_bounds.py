"""A configuration file or `.env` that is made to take all memory or time is one clear line. None of these may hang."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from chatstore_cli.config.expansion import ExpansionError, expand
from chatstore_cli.config.loading import load_settings
from chatstore_cli.domain.errors import BadConfig


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _doubled(names: str, start: str, line: str) -> str:
    """Lines that each contain the one before twice."""
    pairs = itertools.pairwise(names)
    return start + "".join(line.format(name=name, before=before) for before, name in pairs)


NAMES = "abcdefghijklmnopqrstuvwxyz"
LISTS = _doubled(NAMES, "a: &a [x, x]\n", "{name}: &{name} [*{before}, *{before}]\n")
MERGES = _doubled(NAMES, "a: &a {k: 1}\n", "{name}: &{name}\n  <<: [*{before}, *{before}]\n")
SMALL_BLOCKS = "".join(f"b{number}: &b{number} {{}}\n" for number in range(200))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LISTS + "mongo: {database: *z}", "mongo.database: a list is not text"),
        (LISTS + "mongo: {ttl_days: *z}", "mongo.ttl_days: a list is not a whole number"),
        (LISTS + "mongo: *z", "mongo must be a block"),
        (LISTS + "mongo: {? *z : 1}", "unknown setting mongo: a list"),
        (MERGES + "mongo:\n  <<: *z\n", "more than 100 blocks are merged"),
        (SMALL_BLOCKS + "mongo:\n  <<: [" + ", ".join(f"*b{number}" for number in range(200)) + "]\n", "more than 100"),
        ("mongo: &m\n  <<: *m\n", "more than 100 blocks are merged"),
        ("mongo: {<<: 5}", "<< must name a block"),
        ("[" * 100_000, "inside each other"),
        ("mongo: " + "{a: " * 100_000, "inside each other"),
        ("- " * 100_000, "inside each other"),
        ("mongo: {ttl_days: 1" + ":1" * 100_000 + "}", "more than 4,000 characters"),
        ("mongo: {ttl_days: 0x" + "f" * 3_900 + "}", "a number of that size is not"),
        ("mongo: {timeout_seconds: 0x" + "f" * 3_900 + "}", "a number of that size is not"),
        ("mongo: {database: 0x" + "f" * 3_900 + "}", "a number of that size is not"),
        ("# " + "x" * (1 << 20), "more than 1,048,576 bytes"),
        ("mongo: {database: '" + "${A:-" * 400 + "}" * 400 + "'}", "more than 20 defaults"),
        ("mongo: {database: '" + "${A:-" * 700 + "'}", "more than 20 defaults"),
    ],
)
def test_a_file_that_grows_is_one_line(text: str, what: str) -> None:
    Path("config.yaml").write_text(text)
    with pytest.raises(BadConfig) as caught:
        load_settings(None)
    assert what in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("text", [LISTS, MERGES, LISTS + "? *z\n: 1\n", "x: [" + "a, " * 1_000 + "]\n"])
def test_blocks_of_the_application_are_not_expanded(text: str) -> None:
    Path("config.yaml").write_text(text + "mongo: {ttl_days: 4}")
    assert load_settings(None).mongo.ttl_days == 4


def test_merges_have_the_order_of_yaml() -> None:
    Path("config.yaml").write_text(
        "one: &one {ttl_days: 1, database: one}\n"
        "two: &two {ttl_days: 2, database: two, chat_collection: two}\n"
        "mongo:\n  <<: [*one, *two]\n  database: own\n"
    )
    mongo = load_settings(None).mongo
    assert (mongo.database, mongo.ttl_days, mongo.chat_collection) == ("own", 1, "two")


def test_variables_of_dotenv_that_contain_each_other_are_one_line() -> None:
    Path(".env").write_text(_doubled(NAMES, "a=xxxxxxxxxx\n", "{name}=${{{before}}}${{{before}}}\n"))
    with pytest.raises(BadConfig, match=r"\.env: \w has more than 100,000 characters with its variables"):
        load_settings(None)
    Path(".env").write_text("HOST=h\nMONGO_URI=mongodb://${HOST}/\n")
    assert load_settings(None).mongo.uri == "mongodb://h/"


@pytest.mark.parametrize("text", ["${A:-" * 100_000, "${B:-" * 100_000, "${A-" * 20_000 + "}" * 20_000, "${" * 100_000])
def test_defaults_inside_defaults_are_bounded(text: str) -> None:
    with pytest.raises(ExpansionError):
        expand(text, {"B": "b"})


def test_a_long_variable_is_not_repeated_without_a_bound() -> None:
    started = time.process_time()
    with pytest.raises(ExpansionError, match="more than 100,000 characters"):
        expand("${A}" * 100_000, {"A": "x" * 50_000})
    assert time.process_time() - started < 60  # repeating it all would be 5 GB
    assert expand("${A}" * 2, {"A": "x" * 50_000})[0] == "x" * 100_000

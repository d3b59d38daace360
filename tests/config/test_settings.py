"""Settings: the order of their sources, their values, and the errors and warnings about them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.config.advice import find_unusual_settings
from chatstore_cli.config.expansion import ExpansionError, expand
from chatstore_cli.config.loading import load_configuration, load_settings
from chatstore_cli.config.settings import Settings, setting_types, value_of
from chatstore_cli.config.sources import DEFAULTS
from chatstore_cli.domain.errors import BadConfig, BadValue
from tests.support.paths import ROOT

EXAMPLE = ROOT / "config.example.yaml"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(config: str | None = None, *, uri: str | None = None, database: str | None = None) -> Settings:
    """The settings with these options of the command line."""
    return load_settings(config, uri=uri, database=database)


def write(text: str | bytes, name: str = "config.yaml") -> None:
    """Write a file in the working folder."""
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)


def error_of(config: str | None = None) -> BadConfig:
    """The error that loading the configuration raises."""
    with pytest.raises(BadConfig) as caught:
        load(config)
    return caught.value


# --- sources ---------------------------------------------------------------------------------------------------------


def test_without_any_source_the_defaults_apply():
    assert load() == Settings()


def test_each_source_overrides_those_below_it_key_by_key(monkeypatch, no_real_home):
    users = no_real_home / "config/chatstore/config.yaml"
    users.parent.mkdir(parents=True)
    users.write_text("mongo: {database: of-user, ttl_days: 1, chat_collection: of-user, session_collection: of-user}")
    write("mongo: {database: of-file, ttl_days: 2, chat_collection: of-file}")
    write("CHATSTORE_DATABASE=of-dotenv\nCHATSTORE_MONGO__TTL_DAYS=3\n", ".env")
    monkeypatch.setenv("CHATSTORE_DATABASE", "of-environment")
    loaded = load_configuration(None, uri="mongomock://", database=None)
    mongo = loaded.settings.mongo
    assert (mongo.database, mongo.ttl_days, mongo.chat_collection, mongo.session_collection, mongo.uri) == (
        "of-environment",
        3,
        "of-file",
        "of-user",
        "mongomock://",
    )
    assert [loaded.sources[f"mongo.{key}"] for key in ("uri", "database", "ttl_days", "chat_collection")] == [
        "--uri",
        "environment CHATSTORE_DATABASE",
        ".env CHATSTORE_MONGO__TTL_DAYS",
        "config.yaml:1",
    ]
    assert loaded.sources["mongo.session_collection"] == f"{users}:1"
    assert loaded.sources["mongo.journaled"] == "default"
    assert load(database="of-flag").mongo.database == "of-flag"


def test_a_named_file_replaces_the_one_in_the_working_folder(monkeypatch):
    write("mongo: {database: here, ttl_days: 5}")
    write("mongo: {database: named}", "other.yaml")
    write("mongo: {database: variable}", "third.yaml")
    monkeypatch.setenv("CHATSTORE_CONFIG", "third.yaml")
    assert load().mongo.database == "variable"
    assert load("other.yaml").mongo.database == "named"
    assert load("other.yaml").mongo.ttl_days == 30


def test_every_setting_can_be_set_by_its_variable(monkeypatch):
    for key, kind in setting_types().items():
        value = {bool: "false", int: "7", float: "1.5", int | None: "50"}.get(kind, "text")
        value = {"mongo.uri": "mongodb://h", "chatstore.threads.uri": "postgresql://h", "mongo.write_concern": "2"}.get(
            key, value
        )
        if kind not in (bool, int, float, int | None) and key.rpartition(".")[2] != "uri":
            value = f"name_{key.replace('.', '_')}"
        value = "text=content" if key == "mongo.cache.mapping" else value
        value = "always" if key == "mongo.cache.fsync" else f"/{value}" if key.endswith("_path") else value
        value = "mongodb" if key == "chatstore.threads.backend" else value
        functions = ("registry.prerequisites", "server.responder", "server.dispatch")
        value = "module:function" if key.removeprefix("chatstore.") in functions else value
        urls = ("chatstore.server.responder_url", "chatstore.server.cors_origins")
        value = "http://h" if key in urls else value
        value = "1234" if key == "chatstore.server.body_bytes" else value
        value = {"chatstore.timezone": "Europe/Berlin", "chatstore.usage.currency": "EUR"}.get(key, value)
        value = "0123456789abcdef01234567" if key == "chatstore.agents.default_agent" else value
        monkeypatch.setenv(f"CHATSTORE_{key.removeprefix('chatstore.').upper().replace('.', '__')}", value)
    loaded = load_configuration(None, uri=None, database=None)
    assert loaded.problems == ()
    assert {source.partition(" ")[0] for source in loaded.sources.values()} == {"environment"}
    defaults = Settings()
    unchanged = [key for key in setting_types() if value_of(loaded.settings, key) == value_of(defaults, key)]
    assert unchanged == ["chatstore.threads.backend"]


def test_a_block_of_the_application_is_not_taken_for_one_of_the_block_chatstore():
    write("threads: {backend: 4, pool: [1, 2]}\nserver: {port: 80}\nchatstore: {threads: {backend: mongodb}}\n")
    loaded = load_configuration(None, uri=None, database=None)
    assert loaded.problems == ()
    assert loaded.sources["chatstore.threads.backend"] == "config.yaml:3"


@pytest.mark.parametrize(
    ("backend", "what"),
    [
        (
            "mock",
            "'mock' is not a backend for commands: its threads exist only in the memory of one process; use mongodb or "
            "postgresql.",
        ),
        ("mongo", "'mongo' is not a backend that commands can use: mongodb or postgresql."),
    ],
)
def test_commands_reject_other_backends_of_threads(monkeypatch, backend, what):
    write(f"chatstore:\n  threads:\n    backend: {backend}\n")
    assert error_of().message == f"config.yaml:3: chatstore.threads.backend: {what}"
    monkeypatch.setenv("CHATSTORE_THREADS__BACKEND", "mongodb")
    assert load().chatstore.threads.backend == "mongodb"
    monkeypatch.setenv("CHATSTORE_THREADS__BACKEND", backend)
    assert error_of().message == f"environment CHATSTORE_THREADS__BACKEND: chatstore.threads.backend: {what}"


def test_an_empty_variable_counts_as_unset_and_an_empty_option_is_wrong_use(monkeypatch):
    monkeypatch.setenv("CHATSTORE_URI", "")
    monkeypatch.setenv("CHATSTORE_MONGO__TTL_DAYS", "")
    assert load() == Settings()
    with pytest.raises(BadValue, match="--uri"):
        load(uri="")


def test_other_blocks_of_the_file_are_ignored_whatever_they_contain():
    write("app: {uri: !python/object:os.system x, a: 1, a: 2, b: '${NOT_SET}'}\nmongo: {ttl_days: 4}\n")
    assert load().mongo.ttl_days == 4


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "mongo:\n", "mongo:\n  cache:\n  # commented out\n", "---\n", "{}"]
)
def test_an_empty_file_or_block_sets_nothing(text):
    write(text)
    assert load() == Settings()


def test_anchors_and_merges_work(monkeypatch):
    write("common: &common {ttl_days: 9, database: theirs}\nmongo: {<<: *common, database: ours}\n")
    assert (load().mongo.ttl_days, load().mongo.database) == (9, "ours")


def test_a_home_folder_is_expanded_in_paths(no_real_home):
    write("state: {folder: ~/state}\nmongo: {cache: {disk_path: '~/journals'}}\n")
    assert load().state.folder == str(no_real_home / "state")
    assert load().mongo.cache.disk_path == str(no_real_home / "journals")


def test_a_byte_order_mark_is_not_part_of_the_first_key():
    write(b"\xef\xbb\xbfmongo: {ttl_days: 8}")
    assert load().mongo.ttl_days == 8


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_sets_every_setting_to_its_default(monkeypatch):
    loaded = load_configuration(str(EXAMPLE), uri=None, database=None)
    assert loaded.problems == ()
    assert loaded.settings == Settings()
    assert [key for key, source in loaded.sources.items() if source == "default"] == []
    assert list(find_unusual_settings(loaded)) == []


def test_the_example_reads_the_variables_of_the_application(monkeypatch):
    write("MONGO_DB=of-dotenv\n", ".env")
    monkeypatch.setenv("MONGODB_URI", "mongodb://second")
    monkeypatch.setenv("MONGO_CHAT_COLLECTION", "turns")
    loaded = load_configuration(str(EXAMPLE), uri=None, database=None)
    mongo = loaded.settings.mongo
    assert (mongo.uri, mongo.database, mongo.chat_collection) == ("mongodb://second", "of-dotenv", "turns")
    assert loaded.sources["mongo.uri"].endswith("$MONGODB_URI")
    monkeypatch.setenv("MONGO_URI", "mongodb://first")
    assert load(str(EXAMPLE)).mongo.uri == "mongodb://first"


def test_without_a_file_the_defaults_are_those_of_the_example(monkeypatch):
    """Which variables apply must not depend on whether a configuration file exists."""
    example = yaml.safe_load(EXAMPLE.read_text())["mongo"]
    assert {f"mongo.{key}": text for key, text in example.items() if "${" in str(text)} == DEFAULTS
    write("MONGO_DB=of-dotenv\nMONGODB_URI=mongodb://of-dotenv\n", ".env")
    monkeypatch.setenv("MONGO_CHAT_COLLECTION", "turns")
    loaded = load_configuration(None, uri=None, database=None)
    mongo = loaded.settings.mongo
    assert (mongo.uri, mongo.database, mongo.chat_collection) == ("mongodb://of-dotenv", "of-dotenv", "turns")
    assert [loaded.sources[f"mongo.{key}"] for key in ("uri", "database", "chat_collection")] == [
        "default $MONGODB_URI",
        "default $MONGO_DB",
        "default $MONGO_CHAT_COLLECTION",
    ]
    monkeypatch.setenv("MONGO_URI", "mongodb://first")
    assert load().mongo.uri == "mongodb://first"
    write("mongo: {database: of-file}")  # a file without a URI changes nothing about the URI
    assert (load().mongo.uri, load().mongo.database) == ("mongodb://first", "of-file")
    assert load(uri="embedded").mongo.uri == "embedded"


def test_a_server_is_named_unless_embedded_is_what_everything_falls_back_to(monkeypatch):
    def names_server(config: str | None = None, uri: str | None = None) -> bool:
        return load_configuration(config, uri=uri, database=None).names_server

    assert not names_server()
    assert not names_server(str(EXAMPLE))
    assert names_server(uri="embedded")
    write("mongo: {uri: embedded}")
    assert names_server()
    monkeypatch.setenv("MONGO_URI", "embedded")
    assert names_server(str(EXAMPLE))
    monkeypatch.setenv("MONGO_URI", "mongodb://h")
    assert names_server(str(EXAMPLE))


def test_a_value_of_a_variable_is_in_no_message(monkeypatch):
    monkeypatch.setenv("WRONG", "geheim$")
    keys = [key for key, kind in setting_types().items() if key.startswith("mongo.") and key.count(".") == 1]
    write("mongo: {" + ", ".join(f"{key.removeprefix('mongo.')}: '${{WRONG}}'" for key in keys) + "}")
    loaded = load_configuration(None, uri=None, database=None)
    assert len(loaded.problems) == len(keys) - 1  # any text is a write concern
    assert "geheim" not in str([*loaded.problems, *find_unusual_settings(loaded)])
    assert "config.yaml:1 $WRONG" in {problem.where for problem in loaded.problems}
    monkeypatch.setenv("WRONG", "geheim")
    write("mongo: {chat_collection: '${WRONG}', session_collection: geheim}")
    assert "geheim" not in error_of().message
    write("mongo: {uri: 'mongodb://h/${WRONG}', write_concern: '${WRONG}'}")
    warnings = [*find_unusual_settings(load_configuration(None, uri=None, database=None))]
    assert (len(warnings), "geheim" in str(warnings)) == (2, False)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ('"mongodb://ana:geheim@h/"', "in quotes"),
        ("'mongodb://ana:geheim@h/'", "in quotes"),
        ('"mongodb://ana:geheim@h/', "in quotes"),
        ("'embedded'", "in quotes"),
        (" mongodb://ana:geheim@h/", "blanks"),
        ("mongodb://ana:geheim@h/\r", "blanks"),
        ("embedded ", "blanks"),
        ("mongodb://ana:ge heim@h/", "a blank"),
        ("mongodb://ana:ge/heim@h/", "percent-encoded"),
        ("ana:geheim@h", "percent-encoded"),
        ("mongodb://ana:geheim", "the port of a host is not a number"),
        ("mongodb://a/na:geheim", "percent-encoded"),
        ("mongodb://h:1,ana:geheim/db", "the port of a host is not a number"),
    ],
)
def test_the_error_says_what_is_wrong_with_a_uri_without_quoting_it(monkeypatch, uri, reason):
    monkeypatch.setenv("MONGO_URI", uri)
    message = error_of().message
    assert message.startswith("default $MONGO_URI: mongo.uri: its value is not")
    assert reason in message
    assert "heim" not in message


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://h",
        "mongodb://h:1,i:2/db",
        "mongodb://[::1]:27017/",
        "mongodb://[::1]",
        "mongodb://%2Ftmp%2Fm.sock/",
        "mongodb+srv://u:p@h",
        "mongodb://h?authMechanismProperties=A:B",
    ],
)
def test_usual_uris_are_valid(uri):
    assert load(uri=uri).mongo.uri == uri


def test_a_variable_of_the_environment_overrides_the_same_variable_of_dotenv(monkeypatch):
    write('mongo: {database: "${CHATS_DB}", chat_collection: "${TURNS}"}')
    write("CHATS_DB=of-dotenv\nTURNS=of-dotenv\n", ".env")
    monkeypatch.setenv("CHATS_DB", "of-environment")
    mongo = load().mongo
    assert (mongo.database, mongo.chat_collection) == ("of-environment", "of-dotenv")


def test_the_installed_example_is_the_one_in_the_repository():
    import chatstore_cli

    assert Path(chatstore_cli.__file__).with_name("config.example.yaml").read_bytes() == EXAMPLE.read_bytes()


# --- ${VAR} ----------------------------------------------------------------------------------------------------------

VARIABLES = {"A": "a", "EMPTY": "", "RAW": "${A}"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}", "a"),
        ("x${A}y${A}z", "xayaz"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${NONE:-d}", "d"),
        ("${NONE-d}", "d"),
        ("${NONE:-}", ""),
        ("${NONE:-${NEITHER:-x}}", "x"),
        ("${NONE:-a${A}b}c", "aabc"),
        ("${A:-${NEITHER}}", "a"),
        ("${A:-${NEITHER}}}", "a}"),
        ("${RAW}", "${A}"),
        ("$${A}", "${A}"),
        ("pa$$word$", "pa$$word$"),
        ("$A", "$A"),
        ("${NONE:-http://h:1/?x=y-z}", "http://h:1/?x=y-z"),
        ("${NONE:-$${}", "${"),
    ],
)
def test_variables_expand_as_in_a_shell(text, expanded):
    assert expand(text, VARIABLES)[0] == expanded


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("${NONE}", "NONE"),
        ("${A", "A"),
        ("${", "\\$\\{"),
        ("${1A}", "\\$\\{"),
        ("${A:=x}", "A"),
        ("${NONE:-x", "closing"),
    ],
)
def test_text_that_cannot_be_expanded_is_an_error_with_its_reason(text, error):
    with pytest.raises(ExpansionError, match=error):
        expand(text, VARIABLES)


@pytest.mark.parametrize("text", ["${A}", "${A:-d}", "${E:-d}", "${E-d}", "x${N:-${A}}y", "${N:-${E:-z}}", "${N-${A}}"])
def test_a_shell_expands_the_text_in_the_same_way(text):
    variables = {"A": "a b", "E": ""}
    shell = subprocess.run(
        ["/bin/sh", "-c", f'printf %s "{text}"'], env=variables, capture_output=True, text=True, check=True
    )
    assert expand(text, variables)[0] == shell.stdout


@given(st.text(alphabet="${}AN:-x"), st.dictionaries(st.sampled_from(["A", "N", "AN"]), st.text()))
def test_expansion_returns_text_or_raises_its_own_error(text, variables):
    try:
        expanded, _ = expand(text, variables)
    except ExpansionError:
        return
    if "${" not in text:
        assert expanded == text


def test_only_the_value_in_force_needs_its_variable(monkeypatch):
    write('mongo: {uri: "${NOT_SET}"}')
    assert load(uri="mongomock://").mongo.uri == "mongomock://"
    monkeypatch.setenv("CHATSTORE_URI", "mongodb://${NOT_EXPANDED}")
    assert load().mongo.uri == "mongodb://${NOT_EXPANDED}"


def test_an_unset_variable_names_file_line_key_and_variable():
    write('mongo:\n  ttl_days: 3\n  uri: "${MY_URI}"\n')
    assert error_of().message == (
        "config.yaml:3: mongo.uri: the variable MY_URI is not set and has no default (${MY_URI:-default})."
    )


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("mongo: {ttl_day: 3}", "config.yaml:1", "unknown setting mongo: ttl_day."),
        ("mongo:\n  cache:\n    path: x\n", "config.yaml:3", "unknown setting mongo.cache: path."),
        ("chatstore: {thread: {}}", "config.yaml:1", "unknown setting chatstore: thread."),
        ("chatstore: {threads: {backed: mongodb}}", "config.yaml:1", "unknown setting chatstore.threads: backed."),
        ("chatstore: here", "config.yaml:1", "chatstore must be a block of settings."),
        ("layouts: {theirs: {}}", "config.yaml:1", "unknown setting layouts: theirs."),
        ("mongo: 5", "config.yaml:1", "mongo must be a block of settings."),
        ("mongo: [1]", "config.yaml:1", "mongo must be a block of settings."),
        ("mongo:\n  uri: {a: 1}", "config.yaml:2", "mongo.uri: its value is not text"),
        ("mongo: {database: }", "config.yaml:1", "mongo.database: None is not text"),
        ("mongo: {ttl_days: -1}", "config.yaml:1", "mongo.ttl_days: -1 is not a number of days from 0"),
        ("mongo: {ttl_days: 24856}", "config.yaml:1", "24856"),
        ("mongo: {ttl_days: soon}", "config.yaml:1", "'soon' is not a whole number"),
        ("mongo: {ttl_days: 1.5}", "config.yaml:1", "1.5 is not a whole number"),
        ("mongo: {ttl_days: true}", "config.yaml:1", "True is not a whole number"),
        ("mongo: {enabled: 3}", "config.yaml:1", "3 is not true or false"),
        ("mongo: {timeout_seconds: 0}", "config.yaml:1", "mongo.timeout_seconds: 0"),
        ("mongo: {timeout_seconds: .inf}", "config.yaml:1", "inf is not"),
        ("mongo: {timeout_seconds: .nan}", "config.yaml:1", "nan is not"),
        ("mongo: {database: 2026-01-01}", "config.yaml:1", "is not text (put it in quotes)"),
        ("mongo: {database: 'a.b'}", "config.yaml:1", "database's name"),
        ("mongo: {database: ''}", "config.yaml:1", "database's name"),
        ("mongo: {chat_collection: 'system.x'}", "config.yaml:1", "collection's name"),
        ("mongo: {chat_collection: 'a$b'}", "config.yaml:1", "collection's name"),
        ("mongo: {uri: 'http://x'}", "config.yaml:1", "mongo.uri: its value is not `embedded`"),
        ("mongo: {cache: {max_messages_per_session: 0}}", "config.yaml:1", "1 or more"),
        ("mongo: {cache: {disk_path: ''}}", "config.yaml:1", "a path"),
        ("verify: {sample: 0}", "config.yaml:1", "from 1 to 100000"),
        ("mongo:\n  ttl_days: 1\n  ttl_days: 2\n", "config.yaml:3", "mongo.ttl_days is set twice, in lines 2 and 3."),
        ("mongo: {}\napp: 1\nmongo: {}\n", "config.yaml:3", "mongo is set twice, in lines 1 and 3."),
        ("mongo: {chat_collection: same, session_collection: same}", "config.yaml:1", "both name the collection same"),
        ("chatstore: {server: {audit: chat_messages}}", "config.yaml:1", "both name the collection chat_messages"),
        ("mongo: {chat_collection: chatstore_tombstones}", "config.yaml:1", "tombstones of deleted sessions and"),
        ("mongo:\n\tttl_days: 1\n", "config.yaml:2", "not YAML: "),
        ("mongo: {ttl_days: 3\n", "config.yaml:2", "not YAML: "),
        ("mongo: {}\n---\nmongo: {}\n", "config.yaml:2", "not YAML: "),
        ("mongo: {uri: !python/object:os.system x}", "config.yaml:1", "not YAML: could not determine a constructor"),
        ("mongo: {uri: 2026-13-45}", "config.yaml:1", "not YAML: month must be"),
        ("mongo: {uri: \x01}", "config.yaml:1", "not YAML: "),
        ("- mongo\n", "config.yaml:1", "not a mapping"),
        ("\njust text\n", "config.yaml:2", "not a mapping"),
        (b"mongo: {}\n# \xff\n", "config.yaml:2", "not UTF-8 (byte 0xff)."),
    ],
)
def test_an_error_in_a_file_names_its_line(text, where, what):
    write(text)
    error = error_of()
    assert error.facts["where"] == where
    assert what in error.message
    assert "\n" not in error.message


def test_the_hint_for_an_unknown_setting_is_the_nearest_name():
    write("mongo: {ttl_day: 3}")
    assert error_of().hint == "Did you mean ttl_days?"
    write("state: {zzz: 3}")
    assert error_of().hint == "Known names: folder."
    write("chatstore: {thread: {backend: mongodb}}")
    assert error_of().hint == "Did you mean threads?"


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("CHATSTORE_MONGO__TTL_DAYS", "many", "mongo.ttl_days: 'many' is not a whole number"),
        ("CHATSTORE_MONGO__TTL_DAYS", "-3", "'-3' is not a number of days"),
        ("CHATSTORE_MONGO__ENABLED", "perhaps", "is not true or false"),
        ("CHATSTORE_URI", "user:geheim@host", "mongo.uri: its value is not"),
        ("CHATSTORE_MONGO__TTLDAYS", "3", "no setting has this name"),
        ("CHATSTORE_MONG__TTL_DAYS", "3", "no setting has this name"),
        ("CHATSTORE_CHATSTORE__THREADS__BACKEND", "mongodb", "no setting has this name"),
    ],
)
def test_an_error_in_the_environment_names_the_variable(monkeypatch, name, value, what):
    monkeypatch.setenv(name, value)
    error = error_of()
    assert error.facts["where"] == f"environment {name}"
    assert what in error.message
    assert "geheim" not in error.message


def test_the_nearest_variable_is_suggested(monkeypatch):
    monkeypatch.setenv("CHATSTORE_MONGO__TTLDAYS", "3")
    assert error_of().hint == "Did you mean CHATSTORE_MONGO__TTL_DAYS?"
    monkeypatch.delenv("CHATSTORE_MONGO__TTLDAYS")
    for misspelt in ("CHATSTORE_THREAD__BACKEND", "CHATSTORE_CHATSTORE__THREADS__BACKEND"):
        monkeypatch.setenv(misspelt, "mongodb")
        assert error_of().hint == "Did you mean CHATSTORE_THREADS__BACKEND?"
        monkeypatch.delenv(misspelt)


def test_the_error_counts_all_problems():
    write("mongo: {ttl_day: 3, uri: 4}\nverify: {sample: 0}")
    assert "(2 more: chatstore config check)" in error_of().message
    assert len(load_configuration(None, uri=None, database=None).problems) == 3


def test_a_missing_file_and_a_folder_are_errors_of_one_line(folder):
    assert error_of("nowhere.yaml").message == "nowhere.yaml: no such file; --config names it."
    (folder / "config.yaml").mkdir()
    assert error_of().message == "config.yaml: cannot be read: Is a directory."


def test_the_error_about_a_missing_file_names_the_variable_that_names_it(folder, monkeypatch):
    monkeypatch.setenv("CHATSTORE_CONFIG", "removed.yaml")
    assert error_of().message == "removed.yaml: no such file; CHATSTORE_CONFIG names it."
    assert error_of().hint == "Correct or remove CHATSTORE_CONFIG."


def test_dotenv_that_is_not_utf_8_is_an_error_and_an_unclosed_quote_is_a_warning():
    write(b"A=1\nB=\xff\n", ".env")
    assert error_of().message == ".env:2: not UTF-8 (byte 0xff)."
    write("A='unclosed\nCHATSTORE_DATABASE=good\n", ".env")
    loaded = load_configuration(None, uri=None, database=None)
    assert loaded.settings.mongo.database == "good"
    assert [(problem.where, problem.serious) for problem in loaded.problems] == [(".env:1", False)]


def test_a_folder_named_dotenv_is_ignored(folder):
    (folder / ".env").mkdir()
    assert load() == Settings()


@pytest.mark.parametrize(
    ("text", "value"),
    [("'7'", 7), ('"${DAYS:-7}"', 7), ("7", 7), ("7.0", 7)],
)
def test_a_number_can_be_written_as_text(text, value):
    write(f"mongo: {{ttl_days: {text}}}")
    assert load().mongo.ttl_days == value


@pytest.mark.parametrize("word", ["false", "no", "off", "0", "False"])
def test_false_has_several_spellings(monkeypatch, word):
    monkeypatch.setenv("CHATSTORE_MONGO__JOURNALED", word)
    assert load().mongo.journaled is False


def test_a_name_of_digits_needs_no_quotes():
    write("mongo: {write_concern: 2, database: 2024}")
    assert (load().mongo.write_concern, load().mongo.database) == ("2", "2024")


def test_the_text_of_settings_has_no_password():
    assert "geheim" not in repr(load(uri="mongodb://user:geheim@host"))


# --- warnings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("mongo: {enabled: false}", "mongo.enabled"),
        ("mongo: {write_concern: 1}", "instead of majority"),
        ("mongo: {write_concern: 0}", "not acknowledged"),
        ("mongo: {journaled: false}", "before they are on disk"),
        ("mongo: {timeout_seconds: 0.1}", "short"),
        ("mongo: {timeout_seconds: 500}", "long"),
        ("mongo: {uri: 'mongodb://h/other'}", "names the database other"),
        ("mongo: {uri: 'mongodb://h/?w=1'}", "option w has no effect"),
        ("mongo: {uri: 'mongodb://h/?tlsInsecure=true'}", "tlsinsecure"),
        ("mongo: {uri: 'mongodb://u:geheim@h'}", "a file that others can read has a password"),
        ("mong: {}", "the block mong is unknown"),
        ("verfy: {}", "the block verfy is unknown"),
    ],
)
def test_unusual_values_are_warnings(text, warning):
    write(text)
    Path("config.yaml").chmod(0o644)
    loaded = load_configuration(None, uri=None, database=None).valid()
    problems = [*loaded.problems, *find_unusual_settings(loaded)]
    assert [problem.serious for problem in problems] == [False]
    assert warning in problems[0].what
    assert "geheim" not in str(problems)


def test_a_password_in_a_private_file_or_from_a_variable_is_not_a_warning(monkeypatch):
    write("mongo: {uri: 'mongodb://u:p@h'}")
    Path("config.yaml").chmod(0o600)
    assert list(find_unusual_settings(load_configuration(None, uri=None, database=None))) == []
    monkeypatch.setenv("THEIR_URI", "mongodb://u:p@h")
    write("mongo: {uri: '${THEIR_URI}'}")
    Path("config.yaml").chmod(0o644)
    assert list(find_unusual_settings(load_configuration(None, uri=None, database=None))) == []


def test_a_variable_with_a_misspelt_name_is_a_warning(monkeypatch):
    monkeypatch.setenv("CHATSTORE_DATABSE", "x")
    (problem,) = load_configuration(None, uri=None, database=None).problems
    assert (problem.serious, problem.hint) == (False, "Did you mean CHATSTORE_DATABASE?")


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "loaded"), [(None, set()), ("mongo: {ttl_days: 3, timeout_seconds: 4}", {"yaml"})])
def test_an_ordinary_start_imports_neither_pydantic_nor_yaml_without_a_file(folder, no_real_home, config, loaded):
    if config:
        write(config)
    code = (
        "import sys; from chatstore_cli.config.loading import load_settings; load_settings(None, uri=None, database=None);"
        "print(*sorted({'pydantic', 'yaml', 'dotenv', 'difflib', 'pymongo'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert set(done.stdout.split()) == loaded


def test_text_from_the_environment_is_read_like_a_value_of_a_file(monkeypatch):
    write(yaml.safe_dump({"mongo": {"ttl_days": 3, "timeout_seconds": 4, "journaled": False}}))
    fast = load()
    Path("config.yaml").unlink()
    for name, value in {"TTL_DAYS": "3", "TIMEOUT_SECONDS": "4", "JOURNALED": "false"}.items():
        monkeypatch.setenv(f"CHATSTORE_MONGO__{name}", value)
    assert load() == fast

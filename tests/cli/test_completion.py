"""Shell completion: what is offered, what never reaches a shell, and real shells."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import shellingham

from chatstore_cli.cli.completed_values import LAYOUTS, _columns, add_completions
from chatstore_cli.cli.completion import script
from chatstore_cli.cli.global_options import GlobalOptions
from chatstore_cli.cli.main import COMMANDS, run
from chatstore_cli.mongo.layouts import registry
from tests.cli.test_output_contract import COMMAND_LINE, modules_of
from tests.conftest import Chatstore
from tests.support import stored_agents
from tests.support.shells import Shell, is_installed
from tests.support.stored_general_chats import store
from tests.support.stored_threads import store_threads

if TYPE_CHECKING:
    from pymongo.database import Database

Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any
Offered = Callable[..., list[str]]

UNLIMITED = """#!{python}
from chatstore_cli.cli import completed_values
from chatstore_cli.__main__ import main
completed_values.SECONDS = 60.0
main()
"""
"""The command without the time limit, which would make the result depend on the load of the machine."""
IDS = {"to": "tour-1", "app:u": "app:us:1", "eve@": "eve@example.com", "ev": "eve@example.com"}
"""What is typed of an id, and the id."""
HOSTILE = (
    "$(touch pwned)",
    "`touch pwned`",
    "x;touch pwned",
    "a b",
    "-rf",
    "~root",
    "*",
    "q'\"",
    "x\nz",
    "\u202ey",
    "",
)


def asking(line: str) -> dict[str, str]:
    """The variables with which Bash asks what to offer for the last word of a command line."""
    words = ["chatstore", *line.split(" ")]
    return {
        "_CHATSTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }


def store_session(database: Documents, session_id: str, **facts: Any) -> None:
    """A workflow session of this id."""
    document = {"_id": session_id, "chat_id": session_id, "enterprise_id": "acme", "workflow_name": "Triage", **facts}
    database["chat_sessions"].insert_one(document)


@pytest.fixture
def offered(
    database: Documents, mongo_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Offered:
    """What is offered at the end of a line, in this process and without the time limit."""
    monkeypatch.setattr("chatstore_cli.cli.completed_values.SECONDS", 60.0)
    monkeypatch.setenv("CHATSTORE_URI", mongo_uri)
    monkeypatch.setenv("CHATSTORE_DATABASE", database.name)

    def offer(line: str) -> list[str]:
        for name, value in asking(line).items():
            monkeypatch.setenv(name, value)
        assert run([]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        return sorted(shown.out.split())

    return offer


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("flush", "flush-cache"),
        ("general tr", "transcript"),
        ("usage ex", "explain"),
        ("sessions list --timez", "--timezone"),
        ("sessions list --timezone Europe/Berl", "Europe/Berlin"),
        ("sessions list --layout ", " ".join(sorted(LAYOUTS))),
        ("sessions list --layout = thr", "threads"),
        ("sessions list -o js", "json jsonl"),
        ("sessions list --status r", "running"),
        ("sessions sizes --layout ", "general workflow"),
        ("sessions list --columns sess", "session_id"),
        ("sessions list --columns session_id,usage.cos", "session_id,usage.cost"),
        ("resume w-1 --as a", "ag2"),
        ("search word --role a", "assistant"),
        ("usage --by day,mo", "day,model day,month"),
        ("verify --only clock,coll", "clock,collections"),
        ("threads list --sort t", "tenant title"),
        ("sessions list --sort to", "tokens"),
        ("--color n", "never"),
        ("help sessions sh", "show"),
        ("help sess", "sessions"),
        ("sessions list --nothing x --layout thr", "threads"),
        ("sessions show --last ", ""),
    ],
)
def test_words_are_completed(chatstore_without_database: Chatstore, line: str, words: str) -> None:
    outcome = chatstore_without_database(env=asking(line))
    assert (outcome.code, " ".join(sorted(outcome.out.split())), outcome.err) == (0, words, "")


def test_all_commands_are_completed_without_importing_them(chatstore_without_database: Chatstore) -> None:
    assert sorted(chatstore_without_database(env=asking("")).out.split()) == sorted(COMMANDS)
    chatstore_without_database.environment |= asking("")
    modules = modules_of(chatstore_without_database)
    assert not {name for name in modules if name.startswith(("chatstore_cli.cli.commands.", "pymongo", "yaml"))}


def test_profiles_are_completed(chatstore_without_database: Chatstore) -> None:
    folder = chatstore_without_database.folder
    (folder / "config.yaml").write_text("profiles: {prod: {mongo: {}}, staging: {mongo: {uri: '${UNSET}'}}}")
    assert chatstore_without_database(env=asking("--profile ")).out.split() == ["prod", "staging"]
    assert chatstore_without_database(env=asking("sessions list --profile st")).out.split() == ["staging"]


def test_the_layouts_are_all_layouts() -> None:
    assert set(LAYOUTS) == set(registry.LAYOUTS)


def test_every_list_with_columns_completes_them() -> None:
    lists = [
        "chatstore " + " ".join(path)
        for path, command, _ in COMMAND_LINE
        if any(p.name == "columns" for p in command.params)
    ]
    known = [path for path in lists if [*_columns(cast(Any, SimpleNamespace(command_path=path)))]]
    assert known == lists


def test_every_id_tenant_and_user_is_completed() -> None:
    """Also those of commands that are added later: completion goes by the name of an option and by its placeholder."""
    missing = []
    for path, command, _ in COMMAND_LINE:
        own = [parameter for parameter in command.params if parameter.name not in GlobalOptions.__annotations__]
        for parameter in add_completions(own):
            names = {*parameter.opts, str(parameter.metavar).strip("[].")}
            wanted = names & {"--tenant", "--user", "--layout", "SESSION_ID", "THREAD_ID", "AGENT_ID"}
            if wanted and parameter._custom_shell_complete is None:
                missing.append((*path, *wanted))
    assert missing == []


# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_of_every_layout_are_completed(offered: Offered, database: Documents) -> None:
    store(database, [], _id="g-1", chat_id="g-1", app_id="acme")
    store(database, [], _id="g-2", chat_id="g-2", app_id="globex")
    store_session(database, "w-1", user_id="ada")
    store_threads(database)
    assert offered("sessions show ") == ["g-1", "g-2", "t-empty", "t-ferry", "t-fork", "w-1"]
    assert offered("resume --layout threads t-f") == ["t-ferry", "t-fork"]
    assert offered("threads show ") == ["t-empty", "t-ferry", "t-fork"]
    assert offered("general show ") == ["g-1", "g-2"]
    assert offered("general append --tenant acme g-") == ["g-1"]
    assert offered("sessions list --tenant ") == ["acme", "globex"]
    assert {"ada", "ana", "tomasz"} <= set(offered("sessions list --user "))
    assert offered("sessions list --workflow ") == ["Triage"]
    assert offered("general show x") == []


def test_ids_of_agents_are_completed(offered: Offered, database: Documents) -> None:
    stored_agents.store_agents(database)
    known = [stored_agents.DESK, stored_agents.PLAIN, stored_agents.FOREIGN]
    assert offered("agents show 65bb") == sorted(known)
    assert offered("agents update --tenant globex 65bb") == [stored_agents.FOREIGN]
    assert offered("agents restore 65bb") == [stored_agents.DELETED]
    assert offered("agents show 77") == []


def test_an_id_that_a_shell_could_misread_is_not_offered(offered: Offered, database: Documents) -> None:
    plain = ["a/b=c", "app:us:1", "eve@example.com", "x,y+z%20", "\u65e5\u672c"]
    for session_id in (*HOSTILE, *plain):
        store_session(database, session_id)
    assert offered("sessions show ") == sorted(plain)


def test_words_that_bash_breaks_inside_an_id_are_one_id(offered: Offered, database: Documents) -> None:
    for session_id in ("app:us:1", "app:eu:2", "eve@example.com"):
        store_session(database, session_id, user_id=session_id)
    assert offered("sessions show app :") == ["eu:2", "us:1"]
    assert offered("sessions show app : us : ") == ["1"]
    assert offered("sessions show eve @ ex") == ["@example.com"]
    assert offered("sessions list --user = eve @") == ["@example.com"]
    assert offered("sessions list --user = app : e") == ["eu:2"]
    assert offered("sessions list --user = app : eu : 2 --user app : u") == ["us:1"]


def test_completion_gives_up_quietly_and_starts_no_server(chatstore: Chatstore) -> None:
    for line in ("sessions show ", "agents show "):
        for uri in ("mongodb://127.0.0.1:1", "embedded", "nonsense://"):
            outcome = chatstore(env={**asking(line), "CHATSTORE_URI": uri})
            assert (outcome.code, outcome.out.strip(), outcome.err) == (0, "", "")
    assert chatstore("db", "status", "-o", "json", env={"CHATSTORE_URI": "embedded"}).out.count('"running": true') == 0
    (chatstore.folder / "config.yaml").write_text("mongo: [")
    outcome = chatstore(env=asking("sessions show "))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_a_database_that_does_not_answer_in_time_completes_nothing(
    offered: Offered, database: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_session(database, "w-1")
    assert offered("sessions show ") == ["w-1"]
    monkeypatch.setattr("chatstore_cli.cli.completed_values.SECONDS", 0.001)
    monkeypatch.setattr("chatstore_cli.cli.completed_values.Thread.start", lambda _: None)
    monkeypatch.setattr("chatstore_cli.cli.completed_values.Thread.join", lambda *_: None)
    assert offered("sessions show ") == []


# --- shells ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The command without the time limit."""
    path = tmp_path / "unlimited"
    path.write_text(UNLIMITED.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("name", "tabs"), [("bash", 4), ("zsh", 3), ("fish", 2)])  # Fish asks several times for a tab
def test_a_shell_completes(
    chatstore: Chatstore, database: Documents, tmp_path: Path, program: Path, name: str, tabs: int
) -> None:
    if not is_installed(name):
        pytest.skip(f"{name} is not installed")
    for session_id in ("app:us:1", "app:eu:2", "tour-$(touch pwned)", "tour-1", "eve@example.com"):
        store_session(database, session_id)
    shell = Shell(name, tmp_path / "shell", program, script(name), chatstore.environment)
    try:
        for typed, completed in [*IDS.items()][:tabs]:
            assert shell.completed(f"resume {typed}") == ["resume", completed]
    finally:
        shell.close()
    assert not [*tmp_path.rglob("pwned")]


def test_the_script_of_the_shell_that_asks_is_printed_and_installed(
    chatstore_without_database: Chatstore, program: Path
) -> None:
    environment = chatstore_without_database.environment
    home = Path(environment["HOME"])
    home.mkdir(exist_ok=True)

    def by_bash(option: str) -> str:
        asked = subprocess.run(  # two commands, so that Bash does not replace itself by the first one
            ["bash", "-c", f"'{program}' {option}; true"], env=environment, capture_output=True, text=True, timeout=300
        )
        assert asked.stderr == ""
        return asked.stdout

    assert by_bash("--show-completion") == script("bash") + "\n"
    installed = home / ".bash_completions" / "chatstore.sh"
    assert str(installed) in by_bash("--install-completion")
    assert installed.read_text() == script("bash")
    assert str(installed) in (home / ".bashrc").read_text()
    assert chatstore_without_database(env={"_CHATSTORE_COMPLETE": "source_fish"}).out == script("fish") + "\n"


def test_a_shell_that_cannot_be_served_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def undetected() -> tuple[str, str]:
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr(shellingham, "detect_shell", undetected)
    monkeypatch.setenv("SHELL", "/bin/rc")
    assert run(["--install-completion"]) == 2
    hint = "Set SHELL to one of these: bash, zsh, fish."
    assert capsys.readouterr().err == f"chatstore: The shell 'rc' has no completion. {hint}\n"
    monkeypatch.setenv("SHELL", "/bin/fish")
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert run(["--install-completion"]) == 4
    assert "Print the script with --show-completion" in capsys.readouterr().err

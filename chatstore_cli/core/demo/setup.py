"""The demo: its own database and folder with sample sessions, and the commands that a new user would run on them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chatstore_cli.core.demo.sample_agents import SAMPLE_NUMBER, AgentSamples
from chatstore_cli.core.demo.sample_chats import RESUMED, SampleChats
from chatstore_cli.core.demo.sample_general import SESSION_KEY, TENANT, USER, GeneralSamples
from chatstore_cli.core.general.ids import general_chat_id
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.domain.demo import SampleFolder, SampleStore
from chatstore_cli.domain.errors import ChatstoreError, ExitCode, NotAllowed
from chatstore_cli.domain.secrets import masked

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
    from chatstore_cli.domain.threads.ports import ConversationRepository

DEMO_DATABASE = "chatstore_demo"
JOURNALS = "journals"
CONFIGURATION = "config.yaml"
STATE = "state"
"""The demo's own state folder, so that keys of its server are not keys of the user's server."""
SAMPLE_THREAD = "thread-7d31c5"
"""The thread that the demo shows."""
SAMPLE_GENERAL_CHAT = general_chat_id(TENANT, USER, 2)
"""The general chat that the demo shows."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the demo: its purpose, its arguments after `chatstore`, and its expected exit status."""

    purpose: str
    arguments: tuple[str, ...]
    expected: ExitCode = ExitCode.DONE


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step that was run, with its exit status."""

    step: Step
    exit_code: int

    @property
    def is_expected(self) -> bool:
        """Whether the exit status is the expected one."""
        return self.exit_code == self.step.expected


STEPS = (
    Step("An application could not reach its database, so its messages are in journals. Store them:", ("flush-cache",)),
    Step("Run it again: no message is stored twice:", ("flush-cache",)),
    Step("List the newest sessions of all layouts:", ("sessions", "list", "--limit", "8")),
    Step("Show one of them:", ("sessions", "show", RESUMED)),
    Step("Print its last messages in the format that a model needs to continue:", ("resume", RESUMED, "--as", "openai", "--last", "3")),
    Step("List the threads of one user. A thread is a session that an application stores with the library:",
         ("threads", "list", "--user", "ana")),
    Step("Read the newest messages of one:", ("threads", "messages", SAMPLE_THREAD, "--last", "4")),
    Step("List the chats of a user with a general assistant. They are numbered for each user:",
         ("general", "list", "--tenant", TENANT, "--user", USER)),
    Step("Show the workflows that the user has open, and which one is active:",
         ("workflows", "list", "--tenant", TENANT, "--user", USER)),
    Step("Show the newest switches between them. One was refused:",
         ("workflows", "history", "--tenant", TENANT, "--user", USER, "--session-key", SESSION_KEY, "--limit", "4")),
    Step("Print the end of a workflow session together with a general chat, as one transcript:",
         ("sessions", "transcript", RESUMED, SAMPLE_GENERAL_CHAT, "--after", f"{RESUMED}=9")),
    Step("List the saved agents of a voice platform:", ("agents", "list")),
    Step("A call to a phone number begins with the configuration of its agent. Secrets are masked:",
         ("agents", "resolve", "--did", SAMPLE_NUMBER)),
    Step("Report tokens and cost. A cost that is not known is not counted as 0:", ("usage", "--by", "tenant")),
    Step("Report the usage of agents by day. Each report is counted once, on its own day:",
         ("usage", "--by", "day,model", "--layout", "workflow", "--since", "3d")),
    Step("Compare indexes by keys and options, and create the missing ones:", ("indexes", "apply")),
)  # fmt: skip

_CHECK = Step("Check everything, from the configuration to the stored documents:", ("verify",))
_CHECK_WITH_SERVER = Step(
    "Check everything, from the configuration to the stored documents, and a server of its own:", ("verify", "--spawn")
)


@dataclass(frozen=True, slots=True)
class DemoSetup:
    """The demo's own database and folder, and the settings that name both."""

    store: SampleStore
    usage: UsageRecorder
    conversations: ConversationRepository
    general: GeneralSamples
    agents: AgentSamples
    folder: SampleFolder
    uri: str
    database: str
    sessions_collection: str
    messages_collection: str
    usage_collection: str
    daily_sums_collection: str
    threads_collection: str
    thread_messages_collection: str
    general_collections: Mapping[str, str | None]
    data_dir: str | None = None
    runtime_dir: str | None = None

    def check_ownership(self) -> None:
        """Raise NotAllowed if the database or the folder has content that the demo did not create."""
        if self.store.has_foreign_content():
            what = f"Database {self.database} has collections that chatstore demo did not create. Nothing was changed."
            raise NotAllowed(what=what, hint="Name another database with --database.")
        if self.folder.has_foreign_content():
            what = f"{self.folder.path} has files that chatstore demo did not create. Nothing was changed."
            raise NotAllowed(what=what, hint="Name another folder with --folder.")

    def load(
        self, samples: SampleChats, threads: Iterable[tuple[ChatThread, Iterable[ChatMessage]]], now: datetime
    ) -> None:
        """Replace the content of the database and the folder by the samples. `now` (aware) is the present."""
        journals = {f"{JOURNALS}/{session_id}.jsonl": text for session_id, text in samples.journals.items()}
        self.folder.replace({CONFIGURATION: self.configuration(), **journals})
        self.store.replace(samples.sessions)
        self.usage.record(samples.usage)
        for thread, messages in threads:
            self.conversations.import_thread(thread, messages)
        self.general.store(now, RESUMED)
        self.agents.store()

    def configuration(self) -> str:
        """The configuration file of the demo's commands.

        It has no URI of a server, because a URI may have a password and this text is written to a file. The embedded
        MongoDB is named, so that MONGO_URI of the user's environment is not used.
        """
        embedded = {"data_dir": self.data_dir, "runtime_dir": self.runtime_dir}
        mongo: dict[str, Any] = {
            **({"uri": "embedded"} if self.uri == "embedded" else {}),
            "database": self.database,
            "cache": {"disk_path": str(self.folder.path / JOURNALS)},
            "embedded": {name: path for name, path in embedded.items() if path is not None},
        }
        layouts = {
            "workflow": {
                "sessions": self.sessions_collection,
                "usage": self.usage_collection,
                "usage_rollups": self.daily_sums_collection,
            },
            "messages": {"messages": self.messages_collection},
            "threads": {"threads": self.threads_collection, "messages": self.thread_messages_collection},
            "general": dict(self.general_collections),
        }
        # JSON is YAML, and quotes any character of a path. Only ${ would be taken for a variable.
        threads = {"threads": {"backend": "mongodb"}}
        state = {"folder": str(self.folder.path / STATE)}
        text = json.dumps({"mongo": mongo, "layouts": layouts, "state": state, "chatstore": threads}, indent=2)
        return "# Written by chatstore demo.\n" + text.replace("${", "$${") + "\n"

    def environment(self, outer: Mapping[str, str]) -> dict[str, str]:
        """The environment of the demo's commands, without other settings of chatstore."""
        kept = {name: value for name, value in outer.items() if not name.startswith("CHATSTORE_")}
        kept |= {name: value for name, value in outer.items() if name == "CHATSTORE_MONGOD"}
        return kept | self._variables() | {"CHATSTORE_THREADS__BACKEND": "mongodb"}

    def own_folders(self) -> dict[str, str]:
        """The variables that name the demo's folders. In the environment they win over those of the user."""
        return {
            "CHATSTORE_MONGO__CACHE__DISK_PATH": str(self.folder.path / JOURNALS),
            "CHATSTORE_STATE__FOLDER": str(self.folder.path / STATE),
        }

    def exports(self, outer: Mapping[str, str], *, uri_named: bool) -> list[str]:
        """The shell commands with which a user's own commands use the demo's database and folder, without passwords."""
        needed = {"CHATSTORE_CONFIG"} | (self._variables().keys() & outer.keys())
        needed |= {"CHATSTORE_URI"} if uri_named else set()
        shown = {name: masked(value) for name, value in self._variables().items() if name in needed}
        # A profile belongs to the user's own configuration. The demo's file has none.
        unset = ["unset CHATSTORE_PROFILE"] if outer.get("CHATSTORE_PROFILE") else []
        return [*(f"export {name}={shlex.quote(value)}" for name, value in shown.items()), *unset]

    def removal(self, outer: Mapping[str, str], *, options: Sequence[str], config: str | None) -> list[str]:
        """The shell commands that remove the demo, in their order. `options` are those with which the demo was run.

        They work in a shell with the exported variables: the file that CHATSTORE_CONFIG names is removed first.
        """
        own = outer.get("CHATSTORE_CONFIG", "")
        is_demos = not own or own == self._variables()["CHATSTORE_CONFIG"]
        commands = [
            shlex.join(["chatstore", "demo", *options, "--remove", "--yes"]),
            "unset CHATSTORE_CONFIG" if is_demos else f"export CHATSTORE_CONFIG={shlex.quote(own)}",
            *(
                f"export {name}={shlex.quote(outer[name])}"
                for name, folder in self.own_folders().items()
                if outer.get(name, folder) != folder
            ),
        ]
        if self.uri == "embedded":
            commands.append(shlex.join(["chatstore", "db", "stop", *(["--config", config] if config else [])]))
        return commands

    def _variables(self) -> dict[str, str]:
        return {
            "CHATSTORE_CONFIG": str(self.folder.path / CONFIGURATION),
            "CHATSTORE_URI": self.uri,
            "CHATSTORE_DATABASE": self.database,
            **self.own_folders(),
        }


def demo_steps(*, with_server: bool) -> list[Step]:
    """The steps in their order. `with_server`: the last one also starts a server and checks it."""
    return [*STEPS, _CHECK_WITH_SERVER if with_server else _CHECK]


def run_steps(run: Callable[[Step], int], *, with_server: bool) -> Iterator[StepResult]:
    """Run the steps in order, up to the first with an unexpected exit status."""
    for step in demo_steps(with_server=with_server):
        result = StepResult(step, run(step))
        yield result
        if not result.is_expected:
            return


def result_row(result: StepResult) -> dict[str, Any]:
    """One step as a row: the command, its exit status, and the expected one."""
    return {
        "command": shlex.join(["chatstore", *result.step.arguments]),
        "exit_code": result.exit_code,
        "expected": int(result.step.expected),
    }


def check_results(results: Sequence[StepResult]) -> None:
    """Raise ChatstoreError if the last step has an unexpected exit status."""
    if not results[-1].is_expected:
        row = result_row(results[-1])
        raise ChatstoreError(
            what=f"The demo stopped: {row['command']} exited with status {row['exit_code']}, not {row['expected']}."
        )

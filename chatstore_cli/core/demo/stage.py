"""The demo: sample chats in a database and a folder of their own, and the commands that a new user would try on them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatstore_cli.core.demo.sample_chats import RESUMED, SampleChats
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.domain.demo import SampleFolder, SampleStore
from chatstore_cli.domain.errors import ChatstoreError, ExitCode, NotAllowed
from chatstore_cli.domain.secrets import masked

DEMO_DATABASE = "chatstore_demo"
JOURNALS = "journals"
CONFIGURATION = "config.yaml"


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the demo: what it is for, its arguments after `chatstore`, and how it has to end."""

    says: str
    arguments: tuple[str, ...]
    ends_with: ExitCode = ExitCode.DONE


@dataclass(frozen=True, slots=True)
class Played:
    """A step that was run, and the exit status it ended with."""

    step: Step
    exit_code: int

    @property
    def as_expected(self) -> bool:
        """Whether it ended as it has to."""
        return self.exit_code == self.step.ends_with


STEPS = (
    Step("An application could not reach its database and kept its messages in journals. Store them:", ("flush-cache",)),
    Step("Once more: nothing is left to do, and nothing is stored twice:", ("flush-cache",)),
    Step("The newest sessions, agent workflows and flat chats alike:", ("sessions", "list", "--limit", "8")),
    Step("One of them:", ("sessions", "show", RESUMED)),
    Step("Its last messages, as a model needs them to go on:", ("resume", RESUMED, "--as", "openai", "--last", "3")),
    Step("Tokens and money; what nobody knows is not counted as 0:", ("usage", "--by", "tenant")),
    Step("What agents reported counts once, on the day they did:",
         ("usage", "--by", "day,model", "--layout", "workflow", "--since", "3d")),
    Step("Indexes are compared by keys and options. Create what is missing:", ("indexes", "apply")),
    Step("The whole path, from the configuration to the documents:", ("verify",)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoStage:
    """What the demo plays on: a database and a folder of its own, and the settings that lead to both."""

    store: SampleStore
    usage: UsageRecorder
    folder: SampleFolder
    uri: str
    database: str
    sessions_collection: str
    messages_collection: str
    usage_collection: str
    daily_sums_collection: str
    data_dir: str | None = None
    runtime_dir: str | None = None

    def refuse_strangers(self) -> None:
        """Raise NotAllowed where the database or the folder holds what the demo did not make."""
        if self.store.holds_others():
            what = f"Database {self.database} holds collections that chatstore demo did not make; it is left alone."
            raise NotAllowed(what=what, hint="Name another one with --database.")
        if self.folder.holds_others():
            what = f"{self.folder.path} holds files that chatstore demo did not make; it is left alone."
            raise NotAllowed(what=what, hint="Name another folder with --folder.")

    def load(self, samples: SampleChats) -> None:
        """Replace database and folder by the samples, as they are before the first step."""
        journals = {f"{JOURNALS}/{session_id}.jsonl": text for session_id, text in samples.journals.items()}
        self.folder.replace({CONFIGURATION: self.configuration(), **journals})
        self.store.replace(samples.sessions)
        self.usage.record(samples.usage)

    def configuration(self) -> str:
        """The configuration file of the demo's commands: the same collections, whatever is configured elsewhere.

        The URI is left out: it may hold a password, and this is written to a file.
        """
        embedded = {"data_dir": self.data_dir, "runtime_dir": self.runtime_dir}
        mongo: dict[str, Any] = {
            "database": self.database,
            "cache": {"disk_path": str(self.folder.path / JOURNALS)},
            "embedded": {name: place for name, place in embedded.items() if place is not None},
        }
        layouts = {
            "workflow": {
                "sessions": self.sessions_collection,
                "usage": self.usage_collection,
                "usage_rollups": self.daily_sums_collection,
            },
            "messages": {"messages": self.messages_collection},
        }
        # JSON is YAML, and quotes whatever a path may hold; only ${ would be taken for a variable.
        text = json.dumps({"mongo": mongo, "layouts": layouts}, indent=2)
        return "# Written by chatstore demo.\n" + text.replace("${", "$${") + "\n"

    def environment(self, outer: Mapping[str, str]) -> dict[str, str]:
        """The environment of the demo's commands: nothing that is set outside leads them elsewhere."""
        kept = {name: value for name, value in outer.items() if not name.startswith("CHATSTORE_")}
        kept |= {name: value for name, value in outer.items() if name == "CHATSTORE_MONGOD"}
        return kept | self._leading_here()

    def exports(self, outer: Mapping[str, str], *, uri_named: bool) -> list[str]:
        """What a user has to type for the same effect, without passwords."""
        needed = {"CHATSTORE_CONFIG"} | (self._leading_here().keys() & outer.keys())
        needed |= {"CHATSTORE_URI"} if uri_named else set()
        shown = {name: masked(value) for name, value in self._leading_here().items() if name in needed}
        return [f"export {name}={shlex.quote(value)}" for name, value in shown.items()]

    def _leading_here(self) -> dict[str, str]:
        return {
            "CHATSTORE_CONFIG": str(self.folder.path / CONFIGURATION),
            "CHATSTORE_URI": self.uri,
            "CHATSTORE_DATABASE": self.database,
        }


def play(run: Callable[[Step], int], steps: Sequence[Step] = STEPS) -> Iterator[Played]:
    """Run the steps in their order, up to the first that does not end as it has to."""
    for step in steps:
        played = Played(step, run(step))
        yield played
        if not played.as_expected:
            return


def played_row(played: Played) -> dict[str, Any]:
    """One step as a row: the command, how it ended, how it had to end."""
    return {
        "command": shlex.join(["chatstore", *played.step.arguments]),
        "exit_code": played.exit_code,
        "expected": int(played.step.ends_with),
    }


def check_ended_well(played: Sequence[Played]) -> None:
    """Raise ChatstoreError where the last step did not end as it has to."""
    last = played_row(played[-1])
    if not played[-1].as_expected:
        raise ChatstoreError(
            what=f"The demo stopped: {last['command']} ended with {last['exit_code']}, not {last['expected']}."
        )

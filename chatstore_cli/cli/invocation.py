"""One run of a command: its settings, stores and target, and its notices and questions on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from chatstore_cli.cli.global_options import GlobalOptions, global_options
from chatstore_cli.cli.results import ResultWriter, terminal_of
from chatstore_cli.domain.errors import ChatstoreError, NeedsConfirmation, NotAllowed, NotFound, WrongUse
from chatstore_cli.domain.times import utc_now
from chatstore_cli.render.listing import Listing, Record, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.safe import sanitize_line, sanitize_text
from chatstore_cli.render.times import TimeDisplay

if TYPE_CHECKING:
    from chatstore_cli.config.loading import Configuration
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.journal import Progress
    from chatstore_cli.wiring.stores import Stores


class Invocation:
    """The settings, stores and notices of one run. Each is loaded when it is first used."""

    def __init__(self, context: typer.Context, *, layout: str | None = "messages", prints_html: bool = False) -> None:
        """`layout` is the layout whose sessions the command reads or writes; None is all. It decides the target in texts.

        By default that is MongoDB. Raises WrongUse for `-o html` if the command does not print HTML.
        """
        self.layout = layout
        self._context = context
        self.options: GlobalOptions = global_options(context)
        self.options.invocation = self
        if self.options.output is OutputFormat.HTML and not prints_html:
            hint = "For a whole conversation, run: chatstore sessions show SESSION_ID --full -o html"
            raise WrongUse(what=f"{context.command_path} cannot print HTML.", hint=hint)
        self._writes = self._named_target = False
        self._outage_seconds = math.inf
        self._mapping: list[str] = []

    def load_configuration(self, profile: str | None = None) -> Configuration:
        """The settings with their sources and problems, of this profile or of the one in use.

        Raises BadConfig if a file cannot be read.
        """
        from chatstore_cli.config.loading import load_configuration, with_mapping

        options = self.options
        configuration = load_configuration(
            options.config,
            uri=options.uri,
            database=options.database,
            timeout=options.timeout,
            profile=profile or options.profile,
        )
        return with_mapping(configuration, self._mapping) if self._mapping else configuration

    def use_mapping(self, pairs: list[str] | None) -> None:
        """Read journals with these pairs of --map. Call it before `settings`."""
        self._mapping = pairs or []

    @cached_property
    def configuration(self) -> Configuration:
        """The valid settings, with the source of each value. Raises BadConfig."""
        return self.load_configuration().valid()

    @property
    def settings(self) -> Settings:
        """The valid settings. Raises BadConfig."""
        return self.configuration.settings

    @cached_property
    def stores(self) -> Stores:
        """The stores that the settings name. They connect when first used."""
        from chatstore_cli.config.settings import with_shorter_timeout
        from chatstore_cli.wiring.stores import Stores

        stores = Stores(with_shorter_timeout(self.settings, self._outage_seconds), say=self.say)
        for notice in self.configuration.profile.overridden if self.configuration.profile is not None else ():
            self.say(f"{notice} of the profile.")
        if self.options.verbose:
            with suppress(ChatstoreError):  # the first operation reports an unreachable server
                self._name_target(stores.target_of(self.layout))
        return stores

    @property
    def target(self) -> str:
        """The servers and databases that the command uses, without credentials."""
        return self.stores.target_of(self.layout)

    def outage_limit(self, seconds: float | None, default: float) -> float:
        """How many seconds one outage may last for a command that retries: its own option, --timeout, or the default.

        No single attempt takes longer. 0 means one attempt, as long as mongo.timeout_seconds. Call it before `stores`.
        """
        seconds = self.options.timeout if seconds is None else seconds
        limit = default if seconds is None else seconds
        self._outage_seconds = limit or math.inf
        return limit

    def _name_target(self, target: str, note: str = "") -> None:
        if not self._named_target:
            self.say(f"Target: {target}{self._profile_of_target}{note}")
        self._named_target = True

    @property
    def _profile_of_target(self) -> str:
        profile = self.configuration.profile
        return "" if profile is None else f", profile {profile.name}"

    def with_target(self, text: str) -> str:
        """The text, with the target behind it if this run uses a database that was not named yet.

        "Nothing was found" may mean that the wrong server or database was asked.
        """
        stores: Stores | None = self.__dict__.get("stores")
        with suppress(ChatstoreError):
            if stores is not None and not self._named_target and (target := stores.target_of(self.layout)) not in text:
                stop = "" if text.endswith((".", "?", "!", ":")) or not text else "."
                return f"{text}{stop} Target: {target}{self._profile_of_target}.".lstrip()
        return text

    def suggest(self, error: NotFound) -> None:
        """Add similar ids to the error, unless an owner was given: then only that owner's ids may be shown."""
        stores: Stores | None = self.__dict__.get("stores")
        parameters = self._context.params
        if stores is None or any(parameters.get(name) is not None for name in ("tenant", "user")):
            return
        from chatstore_cli.cli.suggestions import add_suggestion

        add_suggestion(error, stores, self.layout)

    @cached_property
    def zone(self) -> tzinfo:
        """The time zone of the days and times that the user reads and writes: --timezone, else chatstore.timezone."""
        if self.options.timezone is not None:
            return self.options.timezone
        try:
            name = self.settings.chatstore.timezone
        except ChatstoreError:  # a command that shows what is wrong with the configuration shows times too
            return UTC
        from chatstore_cli.config.time_zones import time_zone

        return time_zone(name)

    def terminal(self, *, is_terminal: bool) -> Terminal:
        """The abilities of a stream, and how times are shown on it."""
        times = TimeDisplay(self.zone, utc_now() if self.options.relative else None)
        return replace(terminal_of(is_terminal, self.options.color), times=times)

    @cached_property
    def results(self) -> ResultWriter:
        """Writes the results of this run to stdout."""
        parameters = [each.name or "" for each in self._context.command.params]
        return ResultWriter(self.options, parameters, say=self.say, warn=self.warn)

    def emit(self, result: Listing | Record) -> None:
        """Write a result to stdout. Notices about it (no rows, more pages) are on stderr."""
        if self.options.verbose:
            with suppress(ChatstoreError):  # a command that needs no database works without one
                _ = self.stores
        if self._writes:
            result = result.with_target(self.target)
        written = self.results.write(result, self.terminal(is_terminal=sys.stdout.isatty()))
        if isinstance(result, Listing):
            if not written.rows:
                self.say(self.with_target(result.empty))
            self.results.say_what_is_left(result)

    def emit_page(self, page: Listing, notes: Iterable[str]) -> None:
        """Write one page of a list, then the notices about it. If it has no rows, also what the database has instead."""
        self.emit(page)
        if not page.rows:
            self.say_what_the_database_has()
        for note in notes:
            self.say(note)

    def say(self, text: str) -> None:
        """Print a notice on stderr, unless --quiet: one line, because a file name in it may have line feeds."""
        if text and not self.options.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Print a notice on stderr, with --quiet too."""
        if text:
            with suppress(OSError):  # a full log, or one whose reader has ended, must not stop the command
                sys.stderr.write(sanitize_line(text) + "\n")
                sys.stderr.flush()

    def explain(self, text: str) -> None:
        """Print a notice on stderr if --verbose."""
        if self.options.verbose:
            self.say(text)

    def will_write(self, *, dry_run: str = "", layout: str | None = None) -> None:
        """Print the target on stderr before anything is written; results name it too.

        `dry_run` describes what a dry run does not do. Otherwise it raises NotAllowed with --read-only. `layout` is the
        layout that is written, if a search has found it.
        """
        self.layout = layout or self.layout
        if not dry_run:
            self.reject_read_only()
        self._writes = True
        self.stores.read_from_primary()
        self._name_target(self.target, f" (dry run: {dry_run})" if dry_run else "")

    def will_search_to_write(self) -> None:
        """Raise NotAllowed with --read-only, and read what writers see. `will_write` follows when the target is known."""
        self.reject_read_only()
        self.stores.read_from_primary()

    def reject_read_only(self) -> None:
        """Raise NotAllowed with --read-only."""
        if self.options.read_only:
            raise NotAllowed(what="This command writes, and --read-only is set.", hint="Run it without --read-only.")

    def say_where_stored(self, messages: int) -> None:
        """After messages were stored, report the server again if no source of settings names one."""
        if messages and not self.configuration.names_server:
            self.say(
                "Stored in the embedded MongoDB, because no server is configured. To use your own: set MONGO_URI, or "
                "mongo.uri in config.yaml (chatstore config init)."
            )

    def say_what_the_database_has(self) -> None:
        """Print a notice if the database has collections, and none of those that the settings name."""
        from chatstore_cli.domain.foreign import missing_collections_notice

        if not self.stores.uses_mongo(self.layout):
            return
        if (notice := missing_collections_notice(self.stores.contents, self.stores.target)) is not None:
            self.say(notice)

    def progress(self, total_bytes: int) -> AbstractContextManager[Callable[[Progress], None]]:
        """A progress bar over journals, if stderr is a terminal and without --quiet. Otherwise nothing is shown."""
        if self.options.quiet or not sys.stderr.isatty():
            return nullcontext(lambda _: None)
        from chatstore_cli.render.progress import progress_bar

        return progress_bar(total_bytes, terminal_of(True, self.options.color))

    def counting(self, total: int, noun: str) -> AbstractContextManager[Callable[[int], None]]:
        """A progress bar over `total` things, under the conditions of `progress`."""
        if self.options.quiet or not sys.stderr.isatty():
            return nullcontext(lambda _: None)
        from chatstore_cli.render.progress import counting_bar

        return counting_bar(total, noun, terminal_of(True, self.options.color))

    def confirm(self, plan: str, *, yes: bool = False, flag: str = "--yes") -> None:
        """Return if the flag is set or the user confirms on a terminal. Raises NeedsConfirmation otherwise."""
        if yes:
            return
        if sys.stdin is not None and sys.stdin.isatty() and not self.options.no_input:  # None: it was closed (`<&-`)
            sys.stderr.write(sanitize_text(plan) + "\nContinue? [y/N] ")
            sys.stderr.flush()
            with suppress(UnicodeDecodeError):  # bytes of another encoding are not a yes
                if sys.stdin.readline().strip().lower() in {"y", "yes"}:
                    return
            raise NeedsConfirmation(what="Not confirmed.")
        raise NeedsConfirmation(what=plan, hint=f"Run it again with {flag} to confirm.")

"""The checks of a running application, with its HTTP client, journals, documents and logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore_cli.domain.errors import BadValue, WrongUse

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.verify.application.checks import ApplicationChecks
    from chatstore_cli.core.verify.checklist import Check
    from chatstore_cli.domain.checked_application import Application, ApplicationSettings, SessionDocuments
    from chatstore_cli.domain.checks import CheckResult
    from chatstore_cli.wiring.stores import Stores

_LOCK_SECONDS = 2.0


class ApplicationOptions(NamedTuple):
    """How an application is asked, from the options of the command."""

    headers: Sequence[str] = ()
    ws_path: str | None = None
    deadline: float | None = None
    logs: Sequence[str] = ()
    read_only: bool = False


@contextmanager
def opened_application(
    stores: Stores,
    api_url: str | None,
    options: ApplicationOptions,
    *,
    spawn: bool,
    source: tuple[str | None, str | None],
    say: Callable[[str], None],
) -> Iterator[ApplicationChecks | None]:
    """The checks of the application at a URL, or of a server that runs inside the block; None without either.

    `source` has the values of --config and --profile for that server. Raises WrongUse for invalid options, and
    ChatstoreError if the server does not start.
    """
    if not spawn:
        yield None if api_url is None else application_checks(stores, api_url, options)
        return
    from chatstore_cli.wiring.spawned_server import spawned_server
    from chatstore_cli.wiring.stores import Stores
    from chatstore_cli.wiring.system import ending_is_interruption

    if api_url is not None or options.logs:
        raise WrongUse(what="--spawn cannot be combined with --api-url or --log.", hint="Remove one of them.")
    if options.read_only:
        raise WrongUse(what="--spawn writes, and --read-only is set.", hint="Remove one of them.")
    with ending_is_interruption(once=True), spawned_server(stores, source, say) as server:
        of_server = Stores(server.settings, say=lambda _: None)
        try:
            yield application_checks(of_server, server.url, options._replace(logs=[str(server.log)]), is_own=True)
        finally:
            of_server.close()


def application_checks(
    stores: Stores, api_url: str, options: ApplicationOptions, *, is_own: bool = False
) -> ApplicationChecks:
    """The checks of the application at a URL, without connecting yet. Raises WrongUse for invalid options.

    `is_own`: it is a server of chatstore, so that its other interfaces are checked too.
    """
    import secrets

    from chatstore_cli.core.verify.application.checks import ApplicationChecks
    from chatstore_cli.core.verify.application.run import ApplicationRun
    from chatstore_cli.core.verify.application.serving import serving_checks
    from chatstore_cli.files.log_tail import LogTail, LogTails
    from chatstore_cli.files.session_journals import SessionJournals

    settings = stores.settings

    @cache
    def documents() -> SessionDocuments:
        from chatstore_cli.mongo.maintenance.session_traces import MongoSessionDocuments

        seconds = settings.verify.seconds_per_check
        # Many small reads, none of which may hang for long.
        connection = stores.new_connection(max(settings.mongo.timeout_seconds, seconds))
        return MongoSessionDocuments(connection, settings.messages_collection, seconds)

    run = ApplicationRun(
        application=_application(api_url, options.headers),
        documents=documents,
        journals=SessionJournals(Path(settings.mongo.cache.disk_path), _LOCK_SECONDS),
        log=LogTails([LogTail(Path(log)) for log in options.logs]) if options.logs else None,
        settings=_application_settings(settings.verify.application, options.ws_path, options.deadline),
        expected=_expected(settings),
        interval=settings.mongo.worker.interval_seconds,
        read_only=options.read_only,
        token=secrets.token_hex(8),
        reconnect=documents.cache_clear,
    )
    return ApplicationChecks(run, serving_checks(run) if is_own else ())


def run_and_remove(
    checks: Sequence[Check], application: ApplicationChecks, say: Callable[[str], None]
) -> list[CheckResult]:
    """Run the checks. What they sent is removed at the end, also after Ctrl-C, TERM or HUP."""
    from chatstore_cli.core.verify.checklist import run_checks
    from chatstore_cli.wiring.system import ending_is_interruption

    with ending_is_interruption():
        try:
            return list(run_checks(checks))
        finally:
            if not application.is_clean:
                try:
                    say("Removing what was written (interrupt again to keep it) ...")
                    verdict = application.clean_up_soon()
                except KeyboardInterrupt:
                    say(f"Not removed: documents and journals of {application.sessions}.")
                    raise
                say(f"{verdict.detail[:1].upper()}{verdict.detail[1:]}. {verdict.hint or ''}".rstrip())


def _application(api_url: str, headers: Sequence[str]) -> Application:
    from chatstore_cli.web.address import read_address

    address = read_address(api_url, headers)
    try:
        from chatstore_cli.web.application import WebApplication
    except ImportError as error:
        raise WrongUse(
            what="The checks of an application require the packages httpx and websockets. Run pip install 'chatstore-cli[api]'."
        ) from error
    return WebApplication(address)


def _application_settings(
    settings: ApplicationSettings, ws_path: str | None, deadline: float | None
) -> ApplicationSettings:
    from chatstore_cli.config.values import validated

    options = {"ws_path": (ws_path, str, "--ws-path"), "deadline_seconds": (deadline, float, "--deadline")}
    changes: dict[str, Any] = {}
    for name, (value, kind, option) in options.items():
        if value is not None:
            try:
                changes[name] = validated(f"verify.application.{name}", value, kind)
            except ValueError as error:
                raise BadValue(name=option, value=value, expected=str(error)) from error
    return replace(settings, **changes)


def _expected(settings: Settings) -> dict[str, Any]:
    """The configured values of what an application's status may report."""
    cache_settings = settings.mongo.cache
    return {
        "max_messages_per_session": cache_settings.max_messages_per_session,
        "disk_path": PurePosixPath(cache_settings.disk_path),
        "fsync": cache_settings.fsync,
        "ttl_days": settings.mongo.ttl_days,
        "database": settings.mongo.database,
        "chat_collection": settings.messages_collection,
        "collection": settings.messages_collection,
    }

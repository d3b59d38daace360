"""`chatstore search`: finds the messages that have a text, in all layouts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import typer

from chatstore_cli.cli.commands.search.group import search_command
from chatstore_cli.cli.commands.search.output import Redaction, print_hits
from chatstore_cli.cli.filters import LayoutOption, RedactOption, TagOption, TenantOption, UserOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.cli.list_options import DEFAULT_LIMIT, AllOption, CursorOption, reject_limit_of_all
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.cli.redaction import redactor_if
from chatstore_cli.core.choices import require_known_role
from chatstore_cli.core.labels.checks import checked_tag
from chatstore_cli.core.labels.labelled import refs_with_tag
from chatstore_cli.core.readers import find_session
from chatstore_cli.core.search.every_page import EveryPage
from chatstore_cli.core.search.run import LARGEST_PAGE, MessageSearch
from chatstore_cli.domain.errors import Conflict, ExitCode, WrongUse
from chatstore_cli.domain.periods import read_period
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.search.models import SearchMode, SearchQuery
from chatstore_cli.domain.times import utc_now

app, register = search_command(
    {"index": "search.index"},
    examples=[
        "chatstore search refund",
        'chatstore search "order 4711 late" --tenant acme --since 7d',
        "chatstore search --regex 'order[- ]?\\d{4}' --role user -o jsonl",
        "chatstore search --substring 返金",
        "chatstore search refund --since 30d --all -o jsonl",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)


@register
def search(
    context: typer.Context,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The words to search for, in quotes if there are several.")
    ],
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION_ID", help="Search only this session.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            "--role", metavar="ROLE", help="Include only messages of this role: user, assistant, system or tool."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Include only messages at or after this time: 7d, 1w, yesterday or ISO 8601.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="Include only messages before this time. A date includes that day."
        ),
    ] = None,
    tag: TagOption = None,
    regex: Annotated[
        bool, typer.Option("--regex", help="Read TEXT as a regular expression of Python. No index is used.")
    ] = False,
    substring: Annotated[
        bool,
        typer.Option("--substring", help="Find TEXT inside words too. Chinese and Japanese need it. No index is used."),
    ] = False,
    case: Annotated[bool, typer.Option("--case", help="Distinguish capital and small letters.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=1, max=LARGEST_PAGE, help=f"Show at most N messages (default {DEFAULT_LIMIT})."
        ),
    ] = None,
    all_: AllOption = False,
    cursor: CursorOption = None,
    redact: RedactOption = False,
) -> None:
    """Find the messages that have a text, in the sessions of all layouts, the newest message first.

    All words of TEXT must be in one message as whole words, in any order. Small and capital letters are the same, accents
    count: `cafe` does not find `café`. The names and arguments of tool calls and the results of tools are searched too;
    pictures and files are not. Chinese, Japanese and Thai are written without spaces, so a whole sentence is one word: use
    --substring. If no session has the tenant or the user, the command exits with status 3. The word `index` is a command.
    To search for it, write: chatstore search -- index

    Each message is printed as soon as no newer one can follow. --all prints all messages that match. After Ctrl-C the
    messages that were found remain, and a cursor continues the search. With -o json, `offsets` has the beginning and the
    end of each hit, in characters of the message's text. `snippet` is the part of that text that begins at
    `snippet_start`. With --redact, the stored text is searched, and these are of the redacted text.
    """
    if context.invoked_subcommand is not None:
        return  # nothing can be given before it
    if regex and substring:
        raise WrongUse(what="--regex and --substring cannot be combined.", hint="Remove one of them.")
    reject_limit_of_all(limit, all_=all_)
    from chatstore_cli.wiring.labels import label_store
    from chatstore_cli.wiring.search import message_searchers, pattern_limit

    invocation = Invocation(context, layout=layout)
    period = read_period(since, until, utc_now(), invocation.zone)
    mode = SearchMode.REGEX if regex else SearchMode.SUBSTRING if substring else SearchMode.WORDS
    filters = (layout, tenant, user, session, role, period.since, period.until)
    query = SearchQuery(text, mode, case, *filters)
    searchers = message_searchers(readable_readers(invocation, layout))
    readers = [each.reader for each in searchers]
    if tag is not None:
        tagged = refs_with_tag(readers, label_store(invocation.stores), checked_tag(tag), tenant)
        query = replace(query, among=tagged)
        if session is None and len(tagged) == 1:
            [only] = tagged
            query = replace(query, session_id=only.session_id, layout=only.layout)

    def page_after(after: str | None) -> MessageSearch:
        size = LARGEST_PAGE if all_ else limit or DEFAULT_LIMIT
        return MessageSearch(searchers, query, limit=size, cursor=after, limited=pattern_limit)

    found = EveryPage(page_after, cursor) if all_ else page_after(cursor)
    if session is not None:
        with suppress(Conflict):  # it is searched in each of the layouts that have it
            find_session(readers, session)
    empty = "No messages found."
    if mode is SearchMode.WORDS:
        empty += " Whole words are compared: to find parts of words too, use --substring."
    redaction = None
    if (redactor := redactor_if(redact)) is not None:
        from chatstore_cli.core.search.redacted_hits import RedactedHits

        redaction = Redaction(redactor, RedactedHits(redactor, query, pattern_limit))

    def require_names() -> None:
        require_known_role(role)
        require_known_names(invocation, readers, SessionQuery(layout, tenant, user))

    print_hits(invocation, found, empty=empty, redaction=redaction, if_none=require_names)

"""The notice below a list that has more rows than were shown: one wording for every command that lists."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.render.listing import Listing
from chatstore_cli.render.output_format import OutputFormat


def more_rows_notice(listing: Listing, *, has_all: bool) -> str | None:
    """The sentence that reports more rows and how to get them; None after the last row.

    `has_all` is whether the command has the option --all.
    """
    if listing.next_page is None and not listing.is_truncated:
        return None
    ways = [f"{listing.next_page} for the next page"] if listing.next_page is not None else [*listing.rest]
    if not ways:
        ways = ["a higher --limit"]
    return f"There are more rows. Use {_alternatives([*ways, *(['--all for all rows'] if has_all else [])])}."


def shows_next_page(listing: Listing, output: OutputFormat | None) -> bool:
    """Whether this format has the next cursor beside the rows, so that the notice is not needed."""
    return listing.next_page is not None and output in (OutputFormat.JSON, OutputFormat.YAML)


def must_not_pass_for_all(listing: Listing, output: OutputFormat | None) -> bool:
    """Whether the notice is printed with --quiet too: a file with a part of the rows must not pass for all of them."""
    return listing.next_page is None or output in (OutputFormat.CSV, OutputFormat.JSONL)


def _alternatives(ways: Sequence[str]) -> str:
    return " or ".join(ways) if len(ways) < 3 else f"{', '.join(ways[:-1])}, or {ways[-1]}"

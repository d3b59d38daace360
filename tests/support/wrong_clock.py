"""Runs command lines on a machine whose clock is wrong: `python wrong_clock.py SECONDS_AHEAD ARGUMENT... ++ ARGUMENT...`.

Only the package's clock is replaced, before anything imports it. The times of files and the monotonic clock are right.
All command lines run in one process; a line NEXT on stdout ends the output of each.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from itertools import groupby

from chatstore_cli.domain import times

NEXT = "----- next -----"


def main(seconds: str, *words: str) -> None:
    ahead = timedelta(seconds=float(seconds))
    times.utc_now = lambda: datetime.now(UTC) + ahead

    from chatstore_cli.cli.main import run

    for is_separator, arguments in groupby(words, key=lambda word: word == "++"):
        if not is_separator:
            run([*arguments])
            print(NEXT, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs the command line on a machine whose clock is wrong: `python wrong_clock.py SECONDS_AHEAD ARGUMENT...`.

Only the package's clock is replaced, before anything imports it. The times of files and of the monotonic clock are right.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from chatstore_cli.__main__ import main
from chatstore_cli.domain import times

if __name__ == "__main__":
    ahead = timedelta(seconds=float(sys.argv.pop(1)))
    times.utc_now = lambda: datetime.now(UTC) + ahead
    main()

"""Records usage until it is killed: `python usage_writer.py <uri> <database> <first> <count>`. Prints the number of each recorded report."""

from __future__ import annotations

import sys

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from tests.support.usage_snapshots import snapshot


def main() -> None:
    """Record one report after the other, of three agents in two runs."""
    uri, database, first, count = sys.argv[1:]
    connection = connect(uri, database, timeout_seconds=10)
    recorder = UsageRecorder(MongoUsageLedger(connection, Settings()))
    for number in range(int(first), int(first) + int(count)):
        recorder.record([snapshot(number, 10 * number, agent=f"agent-{number % 3}", run=1 + number % 2)])
        print(number, flush=True)


if __name__ == "__main__":
    main()

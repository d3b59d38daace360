"""The command line that the benchmarks share, and the server that they use."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager


def option_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that names the server. The description is printed as it is written."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uri", help="the MongoDB to use (default: one from the [embedded] extra is started)")
    return parser


@contextmanager
def server_uri(uri: str | None, *, replica_set: bool = True) -> Iterator[str]:
    """The URI of the server to use. Without one, a server is started, and removed afterwards."""
    if uri:
        yield uri
        return
    from tests.support.mongod import short_temporary_folder, start_mongod

    with short_temporary_folder() as folder:
        server = start_mongod(folder, replica_set=replica_set)
        try:
            yield server.uri
        finally:
            server.remove()

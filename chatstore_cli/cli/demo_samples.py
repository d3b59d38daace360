"""The demo's database and folder, for the commands that use them: `demo` and `serve --demo`."""

from __future__ import annotations

import os
from pathlib import Path

from chatstore_cli.cli.dry_runs import begin
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.demo.sample_chats import sample_chats
from chatstore_cli.core.demo.setup import CONFIGURATION, DEMO_DATABASE, DemoSetup
from chatstore_cli.domain.times import utc_now
from chatstore_cli.wiring.demo import demo_setup


def chosen_demo(invocation: Invocation, folder: Path | None = None, *, dry_run: bool = False) -> DemoSetup:
    """The demo's setup on the embedded MongoDB, or on the server named with --uri. Raises NotAllowed for other content."""
    options = invocation.options
    options.uri, options.database = options.uri or "embedded", options.database or DEMO_DATABASE
    begin(invocation, dry_run=dry_run, nothing="nothing is removed")
    setup = demo_setup(invocation.stores, folder, invocation.say)
    setup.check_ownership()
    return setup


def load_samples(setup: DemoSetup) -> None:
    """Replace the content of the database and the folder by the samples."""
    from chatstore_cli.core.demo.sample_threads import sample_threads

    now = utc_now()
    setup.load(sample_chats(now), sample_threads(now), now)


def use_demo(invocation: Invocation) -> None:
    """Make the demo's configuration that of the command. The samples are loaded if they do not exist."""
    setup = chosen_demo(invocation)
    file = setup.folder.path / CONFIGURATION
    if not setup.store.contents() or not file.exists():
        invocation.say("Loading the sample sessions ...")
        load_samples(setup)
    exports = setup.exports(os.environ, uri_named=invocation.options.uri not in (None, "embedded"))
    invocation.say("Other commands, such as `serve keys create`, use the demo after: " + "; ".join(exports))
    invocation.options.config = str(file)
    os.environ.update(setup.own_folders())  # the user's variables would win over the file

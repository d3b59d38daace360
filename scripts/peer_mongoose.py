"""Checks saved agents with the npm package mongoose, which the platform uses: each side reads what the other wrote.

    npm install --prefix FOLDER mongoose
    .venv/bin/python scripts/peer_mongoose.py --modules FOLDER/node_modules [--uri URI]

For both collections of the platform, chatstore stores and changes agents. A program with the platform's schema reads them,
validates them, and stores, changes and deletes agents as the platform does. Then chatstore reads and changes those. The
script uses the database `chatstore_peer_mongoose` and drops it at the end. Exits with status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from chatstore_cli import AgentChanged, AgentRegistryService
from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.wiring.stores import Stores

DATABASE = "chatstore_peer_mongoose"
PROGRAM = """
const mongoose = require('mongoose');
const {randomUUID} = require('node:crypto');
const {Mixed} = mongoose.Schema.Types;
const [uri, collection, theirs, ours] = process.argv.slice(1);
const options = {collection, timestamps: true, minimize: false};
const deletedAt = {type: Date, default: null};
const first = new mongoose.Schema({
  name: {type: String, required: true, trim: true}, description: {type: String, default: null},
  config: {type: Mixed, required: true, default: {}}, deletedAt,
}, options);
const version = new mongoose.Schema({
  versionId: {type: String, required: true}, config: {type: Mixed, required: true},
  active: {type: Boolean, required: true}, createdAt: {type: Date, required: true},
}, {_id: false, minimize: false});
const later = new mongoose.Schema({
  orgId: {type: String, required: true}, createdByUserId: {type: String, required: true},
  config: {type: Mixed, required: true, default: {}}, versions: {type: [version], default: []}, deletedAt,
}, options);
const isFirst = collection === 'Agent';
const Agent = mongoose.model('Agent', isFirst ? first : later);

async function main() {
  await mongoose.connect(uri, {dbName: 'chatstore_peer_mongoose', autoIndex: false});
  const seen = [];
  for (const agent of await Agent.find({deletedAt: null}).sort({updatedAt: -1})) {
    await agent.validate();
    seen.push({id: String(agent._id), ...agent.toObject({versionKey: false})});
  }
  const now = new Date();
  const config = {greeting: 'Grüße', n: 1, deep: {list: [1, {a: null}]}, when: now, api_key: 'key-2'};
  const owners = isFirst ? {} : {orgId: 'acme', createdByUserId: 'u1'};
  const named = isFirst ? {name: theirs, config} : {config: {agent_name: theirs, ...config}};
  const versions = isFirst ? {} : {versions: [{versionId: randomUUID(), config: named.config, active: true, createdAt: now}]};
  const created = await Agent.create({...owners, ...named, ...versions});
  // An update as the platform does it: read, then write the whole configuration and the whole list of versions.
  const read = await Agent.findOne({_id: ours, deletedAt: null});
  const changed = {...read.config, changed_by: 'mongoose'};
  const list = isFirst ? {} : {versions: [
    ...read.versions.map(each => ({...each.toObject(), active: false})),
    {versionId: randomUUID(), config: changed, active: true, createdAt: new Date()},
  ]};
  await Agent.findOneAndUpdate({_id: ours, deletedAt: null}, {$set: {config: changed, ...list}}, {new: true, runValidators: true});
  const gone = await Agent.create({...owners, ...named});
  await Agent.findOneAndUpdate({_id: gone._id, deletedAt: null}, {$set: {deletedAt: new Date()}});
  await mongoose.disconnect();
  console.log('PEER' + JSON.stringify({seen, created: String(created._id), gone: String(gone._id), config}));
}
main().catch(error => { console.error(error); process.exit(1); });
"""


class Comparison:
    """Prints one line for each comparison, and remembers whether any differed."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self.differs = False

    def of(self, what: str, ours: Any, theirs: Any) -> None:
        """Compare two values."""
        same = ours == theirs
        self.differs = self.differs or not same
        detail = "" if same else f": {ours!r} and {theirs!r}"
        print(f"{'same' if same else 'DIFFERENT'}  {self._collection}: {what}{detail}")


def mongoose(modules: Path, *arguments: str) -> dict[str, Any]:
    """What the program with the platform's schema has read and stored."""
    environment = {**os.environ, "NODE_PATH": str(modules.resolve())}
    done = subprocess.run(
        ["node", "-e", PROGRAM, "--", *arguments], check=False, capture_output=True, text=True, env=environment
    )
    if done.returncode:
        sys.exit(f"node ended with {done.returncode}: {done.stderr}")
    answer = next(line for line in done.stdout.splitlines() if line.startswith("PEER"))
    seen: dict[str, Any] = json.loads(answer.removeprefix("PEER"))
    return seen


def compare(uri: str, modules: Path, collection: str) -> bool:
    """Compare both sides in one collection. Returns whether anything differs."""
    compared = Comparison(collection)
    with AgentRegistryService(uri, DATABASE, collection=collection) as agents:
        owners = {} if collection == "Agent" else {"tenant_id": "acme", "user_id": "u1"}
        config = {"greeting": "Hello", "llm": {"api_key": "key-1", "temperature": 0.5}, "empty": {}, "none": None}
        one = agents.create_agent("Never changed", config=config, **owners)
        two = agents.create_agent("Changed", description="d", config=config, **owners)
        changed = agents.update_agent(two.agent_id, config={**two.config, "n": 2})
        answer = mongoose(modules, uri, collection, "Theirs", two.agent_id)
        seen = {agent["id"]: agent for agent in answer["seen"]}
        compared.of("the agents and their order", [changed.agent_id, one.agent_id], list(seen))
        for agent in (one, changed):
            theirs = seen[agent.agent_id]
            name = theirs["name"] if collection == "Agent" else theirs["config"]["agent_name"]
            compared.of(f"name of {agent.name!r}", agent.name, name)
            compared.of(f"configuration of {agent.name!r}", dict(agent.config), theirs["config"])
            assert agent.updated_at is not None
            written = agent.updated_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            compared.of(f"time of {agent.name!r}", written, theirs["updatedAt"])
        if collection != "Agent":
            versions = seen[two.agent_id]["versions"]
            compared.of("versions that are active", [False, True], [each["active"] for each in versions])
            compared.of("configuration of the active version", versions[-1]["config"], dict(changed.config))
        theirs = agents.get_agent(answer["created"])
        read = {
            **theirs.config,
            "when": str(theirs.config["when"]).replace("000Z", "Z"),
        }  # chatstore shows microseconds
        compared.of("their agent", ("Theirs", {**theirs.config, **answer["config"]}), (theirs.name, read))
        compared.of(
            "their deletion", [answer["gone"]], [each.agent_id for each in agents.list_agents(deleted=True).agents]
        )
        present = agents.get_agent(two.agent_id)
        compared.of("their change of our agent", {**changed.config, "changed_by": "mongoose"}, dict(present.config))
        try:
            agents.update_agent(two.agent_id, config={}, base_version=changed.version_id)
        except AgentChanged:
            compared.of("their change is noticed", True, True)
        else:
            compared.of("their change is noticed", True, False)
        again = agents.update_agent(two.agent_id, config={**present.config, "n": 4}, base_version=present.version_id)
        history = [agents.get_version(two.agent_id, each.version_id) for each in agents.history(two.agent_id)]
        configs = [dict(each.config) for each in history]
        expected = [dict(each.config) for each in (again, present, changed, two)]
        compared.of("the history", expected, configs)
        compared.of("active versions", [True, False, False, False], [each.active for each in history])
        kept = agents.update_agent(answer["created"], config={**theirs.config, "n": 5})
        compared.of("our change of their agent", {**theirs.config, "n": 5}, dict(kept.config))
        answer = mongoose(modules, uri, collection, "Theirs again", two.agent_id)
        compared.of("our changes as they see them", len(answer["seen"]), 3)
    return compared.differs


def main() -> int:
    """Compare both collections. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Check saved agents with mongoose.")
    parser.add_argument("--modules", type=Path, required=True, help="the folder node_modules that has mongoose")
    parser.add_argument("--uri", default="embedded", help="a MongoDB URI [default: the embedded MongoDB]")
    given = parser.parse_args()
    stores = Stores(Settings(mongo=MongoSettings(uri=given.uri, database=DATABASE)), say=print)
    uri = stores.uri
    try:
        stores.connection.client.drop_database(DATABASE)
        differs = [compare(uri, given.modules, collection) for collection in ("Agent", "lk_agent_configs")]
        return 1 if any(differs) else 0
    finally:
        stores.connection.client.drop_database(DATABASE)
        stores.close()


if __name__ == "__main__":
    raise SystemExit(main())

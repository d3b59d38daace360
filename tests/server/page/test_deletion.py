"""The plan and the report of a deletion on the page, which have the words of `sessions delete`."""

from __future__ import annotations

import re
from html import unescape

SESSION = {"layout": "workflow", "id": "goes"}
COUNTS = "2 documents of usage_events, 1 document of chat_sessions and 1 document of chatstore_labels"


def test_documents_of_three_collections_are_listed_as_the_command_lists_them(server, database, chatstore):
    database["chat_sessions"].insert_one({"chat_id": "goes", "enterprise_id": "acme", "messages": []})
    server.wait_until_prepared()  # which looks for documents of other products, and these rows have few fields
    database["usage_events"].insert_many([{"chat_id": "goes", "event_id": each} for each in ("e-1", "e-2")])
    assert chatstore("sessions", "tag", "goes", "vip").code == 0
    planned = chatstore("sessions", "delete", "goes", "--dry-run")
    assert f"({COUNTS})" in planned.err
    html = server.client.get("/page/session/delete", params=SESSION).text
    [plan] = re.findall(r"<p>(Session .*?)</p>", html)
    assert f": {COUNTS} would be deleted." in unescape(plan)
    deleted = server.client.post("/page/session/delete", json=SESSION).json()
    assert deleted["message"].endswith(f": {COUNTS} were deleted.")

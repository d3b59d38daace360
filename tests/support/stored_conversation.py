"""A stored conversation with everything that is hard to show: tools, files, several days, markup and personal data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) @octocat #12"
    " \x1b[31mred\u202egnp.exe </style></pre><!-- ]]>"
)
FENCES = "Look:\n\n```python\nprint('x')\n````\n# heading\n- item\t1\r\n"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
CONVERSATION_ID = "order-17"


def conversation_document() -> dict[str, Any]:
    """A session of the workflow layout."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "find_order", "arguments": '{"email": "ana@example.com"}'},
    }
    contents: list[tuple[str, str, Any, tuple[int, int, int], dict[str, Any]]] = [
        ("system", "system", "You answer questions about orders.", (1, 21, 59), {}),
        ("user", "Ana Silva", "Order 1234567890 is missing. Write to ana@example.com or call +49 30 1234567. " * 2, (1, 22, 1), {}),
        ("assistant", "Planner", "I will look.", (1, 22, 2), {"tool_calls": [call]}),
        ("tool", "tool", '{"status": "lost", "steps": [' + ", ".join(map(str, range(60))) + "]}", (1, 22, 2), {"tool_call_id": "c1"}),
        ("assistant", "Planner", FENCES + HOSTILE, (2, 9, 0), {}),
        ("user", "*Ana* `S`", [{"type": "text", "text": "See this"}, PICTURE], (2, 9, 5), {}),
        ("user", "Ana Silva", "注文がまだ届いていません。" * 4 + " 👨\u200d👩\u200d👧 " + "x" * 90, (2, 9, 6), {}),
        ("assistant", "Planner", "", (2, 9, 7), {}),
    ]  # fmt: skip
    messages = [
        {
            "role": role, "sender": sender, "content": content, "event_type": "text", "event_id": f"e-{number}", "sequence": number,
            "timestamp": datetime(2026, 3, day, hour, minute, 5, tzinfo=UTC), **more,
        }
        for number, (role, sender, content, (day, hour, minute), more) in enumerate(contents, 1)
    ]  # fmt: skip
    return {
        "chat_id": CONVERSATION_ID, "enterprise_id": "acme", "user_id": "ana@example.com", "workflow_name": "Support",
        "title": "Where is <b>my</b> order?", "created_at": messages[0]["timestamp"], "updated_at": messages[-1]["timestamp"],
        "status": 1, "messages": messages, "last_sequence": len(messages),
    }  # fmt: skip

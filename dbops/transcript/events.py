"""What a stream says, as text/event-stream: made once, sent to every viewer.

The data of an event is one JSON document on one line, in ASCII: nothing that a target prints can end it.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from typing import Any

ALIVE = b": alive\n\n"


def event(name: str, data: Any, number: int | None = None) -> bytes:
    """`number`: where a client that lost its connection goes on (`?after=`)."""
    head = f"id: {number}\n" if number is not None else ""
    return f"event: {name}\n{head}data: {json.dumps(data)}\n\n".encode("ascii")

"""Celery's processes tell that they are there (dbops.presence)."""

import socket
from typing import Any

from celery.signals import beat_init, worker_ready, worker_shutdown, worker_shutting_down
from celery.worker import state

from dbops.presence import Presence

_here: list[Presence] = []


@worker_ready.connect
def worker_is_ready(sender: Any, **_: Any) -> None:
    """`sender` is its consumer. The pool's processes were forked before."""

    def look() -> dict[str, Any]:
        queues = sorted(sender.app.amqp.queues.consume_from)
        slots = sender.controller.concurrency
        return {"queues": queues, "slots": slots, "busy": len(state.reserved_requests)}

    _start(Presence("worker", sender.hostname, look))


@worker_shutting_down.connect
def worker_is_stopping(**_: Any) -> None:
    for presence in _here:
        presence.stopping()


@worker_shutdown.connect
def worker_has_stopped(**_: Any) -> None:
    leave()


@beat_init.connect
def beat_begins(**_: Any) -> None:
    """Of its end no signal tells; its scheduler does (opsdash.beat)."""
    _start(Presence("beat", f"beat@{socket.gethostname()}"))


def _start(presence: Presence) -> None:
    _here.append(presence)
    presence.start()


def leave() -> None:
    while _here:
        _here.pop().stop()

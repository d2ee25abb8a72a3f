"""How much waits at the broker. It is asked with a bound: a silent one is given up after two seconds."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from celery import current_app
from kombu.exceptions import OperationalError

Answer = TypeVar("Answer")


def waiting(queue: str, priority: int = 0) -> int:
    """How many messages nobody has taken yet. Raises kombu's OperationalError when the broker is away."""
    # Celery's broker keeps a list for each queue and priority.
    return _ask(lambda channel: int(channel.client.llen(channel._q_for_pri(queue, priority))))


def waiting_by_queue(queues: Iterable[str]) -> dict[str, int] | None:
    """The same of many queues, whatever the priority, in one question; None when the broker is away."""
    named = list(queues)
    try:
        return dict(zip(named, _ask(lambda channel: _lengths(channel, named)), strict=True))
    except OperationalError:
        return None


def _lengths(channel: Any, queues: list[str]) -> list[int]:
    steps = channel.priority_steps
    with channel.client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            for priority in steps:
                pipeline.llen(channel._q_for_pri(queue, priority))
        lengths = pipeline.execute()
    return [sum(lengths[at : at + len(steps)]) for at in range(0, len(lengths), len(steps))]


def _ask(question: Callable[[Any], Answer]) -> Answer:
    app: Any = current_app
    with app.producer_or_acquire() as producer:
        try:
            return question(producer.channel)
        except (*producer.connection.connection_errors, *producer.connection.channel_errors) as error:
            raise OperationalError(str(error)) from error

"""`--inspect`: look first. Here and now, or through the worker that can reach the target."""

import time
from collections.abc import Collection

from django.db.models import F

from dbops import conf, launch
from dbops.exits import Exit
from dbops.inspection import inspect_now
from dbops.management.commands._shell import PersonCommand
from dbops.models import Target
from dbops.rights import Role

POLL_S = 0.3
# For the way to the worker and back.
MARGIN_S = 15


def inspect_first(command: PersonCommand, targets: Collection[Target]) -> None:
    """A target with a queue of its own may not be reachable from here: looking from here would call it dead.

    Ends the command with a sentence when no worker of such a queue has looked in time.
    """
    for target in targets:
        launch.insist("inspect", target, Role.OPERATOR, command.actor)
    elsewhere = [target for target in targets if target.is_served_elsewhere]
    for target in elsewhere:
        launch.inspect(target, command.actor)
    asked_at = time.monotonic()
    for target in targets:
        if not target.is_served_elsewhere:
            inspect_now(target)
    _await(command, elsewhere, asked_at)


def _await(command: PersonCommand, waiting: Collection[Target], asked_at: float) -> None:
    """One worker may do all of its queue: the time of each begins when the one before it is done."""
    heard_at = {target.inspect_queue: asked_at for target in waiting}
    while waiting:
        done = _inspected(waiting)
        heard_at.update((target.inspect_queue, time.monotonic()) for target in waiting if target.pk in done)
        waiting = [target for target in waiting if target.pk not in done]
        for target in waiting:
            if (
                time.monotonic()
                > heard_at[target.inspect_queue] + conf.knob("INSPECTION_TIMEOUT_S") + MARGIN_S
            ):
                _give_up(command, target)
        if waiting:
            time.sleep(POLL_S)


def _inspected(targets: Collection[Target]) -> set[int]:
    asked = Target.objects.filter(pk__in=[target.pk for target in targets])
    return set(asked.filter(inspected_at__gt=F("inspection_asked_at")).values_list("pk", flat=True))


def _give_up(command: PersonCommand, target: Target) -> None:
    command.refuse(
        Exit.TIMED_OUT,
        f"{target.name} was not inspected: no worker of the queue {target.inspect_queue} has done it "
        "in time. It is asked for and will be done when one runs. Without --inspect you see what was "
        "known before.",
    )

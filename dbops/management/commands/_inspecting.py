"""`--inspect`: look first. Here and now, or through the worker that can reach the target."""

import time
from collections.abc import Collection

from django.db.models import F

from dbops import conf, launch
from dbops.access import shell_actor
from dbops.exits import Exit
from dbops.inspection import inspect_now
from dbops.management.commands._shell import ShellCommand
from dbops.models import Target

POLL_S = 0.3
# For the way to the worker and back.
MARGIN_S = 15


def inspect_first(command: ShellCommand, targets: Collection[Target]) -> None:
    """A target with a queue of its own may not be reachable from here: looking from here would call it dead.

    Ends the command with a sentence when no worker of such a queue has looked in time.
    """
    elsewhere = [target for target in targets if target.is_served_elsewhere]
    for target in elsewhere:
        launch.inspect(target, shell_actor())
    deadline = time.monotonic() + conf.knob("INSPECTION_TIMEOUT_S") + MARGIN_S
    for target in targets:
        if not target.is_served_elsewhere:
            inspect_now(target)
    for target in elsewhere:
        _await(command, target, deadline)


def _await(command: ShellCommand, target: Target, deadline: float) -> None:
    while not Target.objects.filter(pk=target.pk, inspected_at__gt=F("inspection_asked_at")).exists():
        if time.monotonic() > deadline:
            command.refuse(
                Exit.TIMED_OUT,
                f"{target.name} was not inspected: no worker of the queue {target.inspect_queue} has done it "
                "in time. It is asked for and will be done when one runs. Without --inspect you see what was "
                "known before.",
            )
        time.sleep(POLL_S)

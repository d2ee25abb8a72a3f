import argparse
import math
from typing import Any

from django.core.management.base import CommandParser

from dbops import conf
from dbops.exits import Exit
from dbops.management.commands._shell import PersonCommand
from dbops.target.errors import TargetError
from dbops.waiting import Connector, database_of, own_database, wait


def positive(text: str) -> float:
    seconds = float(text)
    if not (0 < seconds < math.inf):
        raise argparse.ArgumentTypeError("a number of seconds above 0")
    return seconds


class Command(PersonCommand):
    help = (
        "Wait until a database is ready: opsdash's own, or with --target a target's. Ends with 0 when it is, "
        "9 when the time is over, 10 when waiting cannot help (wrong password, no such database), "
        "5 when the target itself is broken. What leads to the target (ssh, docker) is waited for as well."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--target", metavar="NAME")
        parser.add_argument("--database", metavar="ALIAS", default="default", help="of the target")
        parser.add_argument("--timeout", type=positive, default=60.0, metavar="SECONDS")

    def perform(self, **options: Any) -> None:
        name, connect = self._what(options["target"], options["database"])
        try:
            code = wait(connect, name=name, limit_s=options["timeout"], say=self._say)
        except TargetError as error:
            self.refuse(Exit.BROKEN, str(error))
        self.end(code)

    def _what(self, target: str | None, alias: str) -> tuple[str, Connector]:
        if target is None:
            return "opsdash's database", own_database
        connect = database_of(self.find_target(target), alias, conf.knob("INSPECTION_TIMEOUT_S"))
        return f"database {alias} of {target}", connect

    def _say(self, sentence: str) -> None:
        self.tell(sentence)
        self.stdout.flush()

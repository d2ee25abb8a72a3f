import asyncio
from typing import Any

from dbops.management.commands._shell import ShellCommand
from dbops.probes.prober import serve


class Command(ShellCommand):
    help = "Probe every target's database round the clock, until SIGTERM or SIGINT."

    def handle(self, **options: Any) -> None:
        asyncio.run(serve())

from typing import Any

from django.core.management.base import CommandParser

from dbops.documents import workers_document
from dbops.exits import Exit
from dbops.management.commands._shell import PersonCommand
from dbops.pages.workers import QueueRow, WorkerRow, WorkersPage, workers_page
from dbops.templatetags.ages import age_words


class Command(PersonCommand):
    help = "The workers, the queues that are needed, and who serves them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=["text", "json"], default="text")
        parser.add_argument("--json", action="store_const", dest="format", const="json")

    def perform(self, **options: Any) -> None:
        page = workers_page(self.rights)
        if options["format"] == "json":
            self.print_json(workers_document(page))
        else:
            self._print(page)
        self.end(Exit.UNSERVED if page.unserved else Exit.DONE)

    def _print(self, page: WorkersPage) -> None:
        if not page.workers:
            self.tell("No process has told of itself within a day.")
        for row in page.workers:
            self._print_worker(row)
        for queue in page.queues:
            self._print_queue(queue)
        for sentence in (*page.missing, *page.versions):
            self.tell(sentence)
        if page.broker_away:
            self.tell("The broker (Redis) is away: how many messages wait is not known.")

    def _print_worker(self, row: WorkerRow) -> None:
        worker = row.worker
        queues = ", ".join(worker.queues) or worker.kind
        self.tell(f"{worker.name:<40} {row.state_words:<9} {age_words(worker.heartbeat_at):<16} {queues}")
        for at_work in row.jobs:
            self.tell(f"    job {at_work.job.pk}: {at_work.title} on {at_work.job.database}")

    def _print_queue(self, row: QueueRow) -> None:
        messages = "unknown" if row.messages is None else row.messages
        waiting = f"{messages} messages, {row.queued} queued jobs"
        self.tell(f"queue {row.queue:<34} {waiting}, served by {row.service.names or 'nobody'}")
        if row.problem:
            self.tell(f"    {row.problem}")
        if row.service.nobody:
            self.tell(f"    {f'{row.needed_by} Start one:'.strip()} {row.service.command}")

"""A job's sign of life, and the ear for its cancel: one thread beside the work."""

import logging
import threading
from types import TracebackType

from django.db import Error, connection

from dbops import conf
from dbops.models import Job, SessionEnding
from dbops.models.job import WORKED_ON

logger = logging.getLogger(__name__)

LISTEN_S = 0.5
# The job stands in one of these as long as it is this worker's.
HELD = (*WORKED_ON, "lost")


class Heartbeat:
    """While it is open: beats every HEARTBEAT_S, and looks twice a second whether a person asked to stop.

    `ending_asked` is set when staff wants a session ended that is in the way of the job, and again until that
    is answered; who hands it on clears it. `cancel_asked` and `fence_lost` are set once and for all. When our
    database does not answer, nothing is set: the work goes on. A job that was called lost meanwhile is taken
    back.
    """

    def __init__(self, job: Job) -> None:
        self._job_id, self._fence = job.pk, job.fence
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{job.pk}", daemon=True)
        self.cancel_asked = threading.Event()
        self.fence_lost = threading.Event()
        self.ending_asked = threading.Event()

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        beats_in = 0.0
        try:
            while not self._stop.wait(LISTEN_S):
                beats_in -= LISTEN_S
                try:
                    self._listen()
                    if beats_in <= 0:
                        Job.objects.beat(self._job_id, self._fence)
                        beats_in = conf.knob("HEARTBEAT_S")
                except Error as error:
                    logger.warning("job %s: no heartbeat, our database fails: %s", self._job_id, error)
                    connection.close()
        finally:
            connection.close()

    def _listen(self) -> None:
        state = Job.objects.filter(pk=self._job_id, fence=self._fence).values_list("state", flat=True).first()
        if state == "lost":
            logger.warning("job %s was called lost while our database was away", self._job_id)
            if Job.objects.take_back(self._job_id, self._fence):
                return
        if state == "cancelling":
            self.cancel_asked.set()
        if state not in HELD:
            self.fence_lost.set()
        if SessionEnding.objects.filter(job_id=self._job_id, outcome="").exists():
            self.ending_asked.set()

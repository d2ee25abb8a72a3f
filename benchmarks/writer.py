"""A worker's recorder that writes lines at a pace into a running job.

    python -m benchmarks.writer JOB LINES_PER_SECOND SECONDS

Ten batches a second; each line carries the moment at which it was handed to the recorder, in monotonic
seconds, which all processes of a machine share. Once a second the job changes, as when a step begins. It
prints the number of the last line.
"""

import sys
import time

from dbops.models import Job
from dbops.redaction import Redactor
from dbops.transcript.live import publish_change
from dbops.transcript.recorder import Recorder

BATCHES_S = 10


def main(job_id: int, rate: int, seconds: int) -> None:
    job = Job.objects.get(pk=job_id)
    recorder, due = Recorder(job, Redactor(())), time.monotonic()
    for number in range(seconds * BATCHES_S):
        due += 1 / BATCHES_S
        time.sleep(max(0.0, due - time.monotonic()))
        text = f"line {time.monotonic():.6f} of a migration that fills a table\n"
        recorder.feed(text.encode() * (rate // BATCHES_S))
        recorder.flush()
        if number % BATCHES_S == 0:
            Job.objects.touch(job.pk, job.fence, done_count=number // BATCHES_S)
            publish_change(job.pk)
    recorder.finish()
    print(Job.objects.get(pk=job_id).last_line)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))

"""Writes what it reads on stdin into a running job, as the job's worker would: `python -m
tests.browser.writing JOB`.

A line of `!state NAME` ends it in that state instead. Each line is answered with a line, when it is written.
"""

import sys

import django

django.setup()


from dbops.models import Job  # noqa: E402
from dbops.redaction import Redactor  # noqa: E402
from dbops.transcript.live import publish_change  # noqa: E402
from dbops.transcript.recorder import Recorder  # noqa: E402


def main(job_id: int) -> None:
    job = Job.objects.get(pk=job_id)
    recorder = Recorder(job, Redactor(()))
    for line in sys.stdin:
        if line.startswith("!state "):
            assert recorder.finish()
            Job.objects.move(job.pk, ["running"], line.split()[1], held_fence=job.fence)
            publish_change(job.pk)
        else:
            recorder.feed(line.encode())
            assert recorder.flush()
        sys.stdout.write("written\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))

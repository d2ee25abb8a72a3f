"""gunicorn's own ASGI worker, whose streams end at once when it is asked to stop:

    gunicorn -k opsdash.worker.Worker opsdash.asgi:application

It would wait for them until --graceful-timeout otherwise, and cut them then, as it does with a client that
does not even take the goodbye.
"""

import gc
import socket

from gunicorn.workers.gasgi import ASGIWorker

from dbops import goodbye

# Objects, some ten megabytes of them.
GARBAGE = 50_000
# A client that takes nothing of what it is sent for so long is gone: a laptop that sleeps, or one that does
# not read. tcp(7)
UNTAKEN_MS = 30_000


class Worker(ASGIWorker):
    def run(self) -> None:
        """Python looks for garbage whenever 700 objects more were made than freed, now and then among all
        that there are. With 1,000 streams it does so all the time, and stops them for a tenth of a second and
        more. What is loaded stays, and most of what streams make is freed without any search."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE, 10, 10)
        for each in self.sockets:
            if each.family != socket.AF_UNIX:
                # What it accepts is cut so, too.
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MS)
        super().run()

    def handle_exit_signal(self) -> None:
        """SIGTERM. gunicorn calls it in the event loop."""
        super().handle_exit_signal()
        goodbye.tell()

"""Reading the rows beside an event loop."""

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# So many of the viewers of a process read at one time, each what `reading` gives at once; whoever else comes
# back after a cut waits for its turn, and holds nothing meanwhile.
READERS = 4
_readers = ThreadPoolExecutor(READERS, thread_name_prefix="transcript")


def beside_the_loop(read: Callable[Parameters, Result]) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """Run it in one of READERS threads. No connection to our database is held afterwards."""

    @wraps(read)
    def and_let_go(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return read(*args, **kwargs)
        finally:
            connections.close_all()

    async def beside(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return await in_thread(*args, **kwargs)

    in_thread = sync_to_async(and_let_go, thread_sensitive=False, executor=_readers)
    return beside

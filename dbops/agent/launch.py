"""Setting the target up as its own command line does, to the point where Django's command line would
start."""

from __future__ import annotations

import contextlib
import os
import runpy
import subprocess
import sys
import types
from importlib import import_module
from typing import TYPE_CHECKING

from . import channel as channels
from . import failures, lacking, redaction
from .failures import Failure
from .imports import Watch, note_files
from .session import Session

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from .channel import Channel

# What the target finds in sys.argv: some set themselves up by the command that is asked for.
COMMANDS = {
    "inspect": "showmigrations",
    "plan": "showmigrations",
    "examine": "showmigrations",
    "perform": "migrate",
}

NEVER_REACHED = "The launcher {} ended without ever starting Django's command line."
REPLACED = "The launcher replaces itself by another program, {}: name that one's interpreter as the target's."


def run(request: dict[str, Any], channel: Channel) -> None:
    """Run the launcher; in it, in place of ManagementUtility.execute, the verb."""
    redaction.learn_environment()
    session = Session(request["verb"], request["arguments"], channel)
    if session.reads_only:
        leave_no_bytecode()
    arrival = Arrival(request, session, channel)
    watch_imports(session, arrival)
    if request["settings_module"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = request["settings_module"]
    try:
        command = command_of(request)
        with no_other_program(arrival), no_program_with(command, arrival):
            start_program(request["launcher"], command)
    except BaseException as problem:
        if arrival.happened:
            raise
        channel.error(not_reached(problem))
        sys.exit(1)
    if not arrival.happened:
        channel.error(Failure("launcher_never_reached", NEVER_REACHED.format(sys.argv[0]), "target"))
        sys.exit(1)


def command_of(request: dict[str, Any]) -> str:
    if request["arguments"].get("operation") == "makemigrations":
        return "makemigrations"
    return COMMANDS[request["verb"]]


def leave_no_bytecode() -> None:
    """Who only reads writes nothing into the target's tree, nor does what it starts."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def watch_imports(session: Session, arrival: Arrival) -> None:
    note_files()
    watch = Watch()
    watch.when_imported("django.db.utils", session.adapt_new_connections)
    watch.when_imported("django.db.backends.signals", session.follow_connections)
    watch.when_imported("django.core.management", arrival.take_over)
    if session.reads_only:
        watch.when_imported("django.core.management.commands.migrate", leave_undone)
    sys.meta_path.insert(0, watch)


def leave_undone(module: Any) -> None:
    """Some projects migrate themselves at set-up, whatever they were started for. A read-only session would
    refuse it, and with that the set-up."""

    def handle(command: Any, *_: Any, **__: Any) -> None:
        command.stdout.write("opsdash: this process only reads; nothing was migrated.")

    module.Command.handle = handle


class Arrival:
    """The takeover: where Django's command line would start, the verb is performed instead."""

    def __init__(self, request: dict[str, Any], session: Session, channel: Channel) -> None:
        self.request = request
        self.session = session
        self.channel = channel
        self.happened = False

    def take_over(self, management: Any) -> None:
        management.ManagementUtility.execute = lambda utility: self.arrive(utility)

    def arrive(self, utility: Any) -> None:
        """A launcher that starts several commands gets one: the rest of them is left undone."""
        if self.happened:
            return
        self.channel.leave_a_fork()
        self.happened = True
        try:
            answer = self.perform(utility)
        except BaseException as problem:
            failure = lacking.of(problem)
            self.let_go()
            self.channel.error(failure)
            self.leave(1)
        else:
            self.let_go()
            self.channel.answer(answer)
            self.leave(0)

    def perform(self, utility: Any) -> dict[str, Any]:
        import_module("django").setup()
        verb = import_module("." + self.request["verb"] + "_verb", __package__)
        answer: dict[str, Any] = verb.run(self.request["arguments"], self.session, self.channel, utility)
        return answer

    def let_go(self) -> None:
        """Before the last word: whoever has it may end a process that only reads."""
        if self.request["verb"] != "perform":
            self.session.close_files()

    def leave(self, status: int) -> None:
        """A changing verb lets the target finish its own way; a reading one has nothing to lose."""
        channels.flush()
        if self.request["verb"] != "perform":
            os._exit(status)
        if status:
            sys.exit(status)


@contextlib.contextmanager
def no_other_program(arrival: Arrival) -> Iterator[None]:
    """A launcher that executes another interpreter would run its command there, unguarded and unseen."""
    originals: Any = (os.execv, os.execve)
    pid = os.getpid()

    def instead_of(execute: Callable[..., Any]) -> Callable[..., Any]:
        def refuse_or_execute(program: Any, *args: Any) -> Any:
            if arrival.happened or os.getpid() != pid:
                return execute(program, *args)
            raise Failure("launcher_replaced", REPLACED.format(os.fsdecode(program)), "target")

        return refuse_or_execute

    os.execv, os.execve = map(instead_of, originals)
    try:
        yield
    finally:
        os.execv, os.execve = originals


@contextlib.contextmanager
def no_program_with(command: str, arrival: Arrival) -> Iterator[None]:
    """A launcher that starts another interpreter with its own words would have it run the whole command,
    without plan and guard."""
    popen: Any = subprocess.Popen
    start, pid = popen.__init__, os.getpid()

    def refuse_or_start(self: Any, args: Any, *more: Any, **options: Any) -> None:
        words = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
        texts = " ".join(map(os.fsdecode, words)).split()
        if not arrival.happened and os.getpid() == pid and command in texts:
            raise Failure("launcher_replaced", REPLACED.format(texts[0]), "target")
        start(self, args, *more, **options)

    popen.__init__ = refuse_or_start
    try:
        yield
    finally:
        popen.__init__ = start


def start_program(launcher: list[str], command: str) -> None:
    """The launcher as its own main module; sys.argv and sys.path look as under it."""
    sys.argv = [*launcher, command]
    if not launcher:
        start_django(command)
    elif launcher[0] == "-m":
        start_module(launcher[1])
    else:
        start_script(launcher[0])


def start_django(command: str) -> None:
    sys.argv = ["django-admin", command]
    sys.path.insert(0, os.getcwd())
    import_module("django.core.management").execute_from_command_line(sys.argv)


def start_module(name: str) -> None:
    sys.path.insert(0, os.getcwd())
    # The word -m itself goes; run_module puts the module's file in place of its name, as the interpreter
    # does.
    del sys.argv[0]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def start_script(name: str) -> None:
    sys.argv[0] = find_script(name)
    path = os.path.abspath(sys.argv[0])
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    exec(code, main.__dict__)  # noqa: S102


def find_script(name: str) -> str:
    """A bare name that is no file here is a console script: beside the interpreter, or on PATH."""
    if os.path.isfile(name) or os.sep in name:
        return name
    folders = [os.path.dirname(sys.executable), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    candidates = [os.path.join(folder, name) for folder in folders]
    return next(filter(os.path.isfile, candidates), name)


def not_reached(problem: BaseException) -> Failure:
    """What a failing launcher, settings module or import says, typed."""
    if isinstance(problem, Failure):
        return problem
    if isinstance(problem, FileNotFoundError) and failures.raised_by_us(problem):
        return Failure("launcher_missing", f"There is no launcher {problem.filename}.", "target")
    kind, message = lacking.typed(problem)
    return Failure(kind, message, "target", lacking.facts_of(kind), failures.render(problem))

"""Setting the target up as its own command line does, up to the point where Django's command line would start."""

import contextlib
import os
import runpy
import sys
import types
from importlib import import_module

from . import cancel, failures, redaction
from . import channel as channels
from .failures import Failure
from .imports import Watch
from .session import Session

# What the target finds in sys.argv: some set themselves up by the command that is asked for.
COMMANDS = {"inspect": "showmigrations", "plan": "showmigrations", "perform": "migrate"}


def run(request, channel):
    """Run the launcher; `arrive` is called inside it, in place of ManagementUtility.execute."""
    redaction.learn_environment()
    session = Session(request["verb"], request["arguments"], channel)
    arrival = Arrival(request, session, channel)
    watch = Watch()
    watch.when_imported("django.db.utils", session.adapt_new_connections)
    watch.when_imported("django.db.backends.signals", session.follow_connections)
    watch.when_imported("django.core.management", arrival.take_over)
    sys.meta_path.insert(0, watch)
    if request.get("settings_module"):
        os.environ["DJANGO_SETTINGS_MODULE"] = request["settings_module"]
    try:
        with no_other_program(arrival):
            start_program(list(request.get("launcher") or ()), COMMANDS[request["verb"]])
    except BaseException as problem:
        if arrival.happened:
            raise
        channel.error(not_reached(problem))
        sys.exit(1)
    if not arrival.happened:
        channel.error(Failure("launcher_never_reached", NEVER_REACHED % request["launcher"][0], "target"))
        sys.exit(1)


NEVER_REACHED = "The launcher %s ended without ever starting Django's command line."


REPLACED = (
    "The launcher replaces itself by another program (%s): name that program's interpreter as the target's."
)


@contextlib.contextmanager
def no_other_program(arrival):
    """A launcher that executes another interpreter would run its command there, unguarded and out of our sight."""
    originals, pid = (os.execv, os.execve), os.getpid()

    def instead_of(execute):
        def refuse_or_execute(program, *args):
            if arrival.happened or os.getpid() != pid:
                return execute(program, *args)
            raise Failure("launcher_replaced", REPLACED % os.fsdecode(program), "target")

        return refuse_or_execute

    os.execv, os.execve = map(instead_of, originals)
    try:
        yield
    finally:
        os.execv, os.execve = originals


class Arrival:
    """The takeover: where Django's command line would start, the verb is performed instead."""

    def __init__(self, request, session, channel):
        self.request = request
        self.session = session
        self.channel = channel
        self.happened = False

    def take_over(self, management):
        management.ManagementUtility.execute = lambda utility: self.arrive(utility)

    def arrive(self, utility):
        """A launcher that starts several commands gets one: the rest of them is left undone."""
        if self.happened:
            return
        self.happened = True
        try:
            set_up()
            verb = import_module("." + self.request["verb"] + "_verb", __package__)
            answer = verb.run(self.request["arguments"], self.session, self.channel, utility)
        except BaseException as problem:
            self.channel.error(failures.of(problem, "broken"))
            self.leave(1)
        else:
            self.channel.answer(answer)
            self.leave(0)

    def leave(self, status):
        """A changing verb lets the target finish its own way; a reading one has nothing left to lose, and is quick."""
        channels.flush()
        if self.request["verb"] != "perform":
            os._exit(status)
        if status:
            sys.exit(status)


def set_up():
    import django

    django.setup()


def start_program(launcher, command):
    sys.argv = [*(launcher or ["django-admin"]), command]
    if not launcher:
        start_django(sys.argv)
    elif launcher[0] == "-m":
        start_module(launcher[1])
    else:
        start_script(launcher[0])


def start_django(argv):
    sys.path.insert(0, os.getcwd())
    from django.core.management import execute_from_command_line

    execute_from_command_line(argv)


def start_module(name):
    sys.path.insert(0, os.getcwd())
    # argv[0] is -m itself; run_module puts the module's file there, as the interpreter does.
    del sys.argv[0]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def start_script(name):
    path = os.path.abspath(find_script(name))
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    exec(code, main.__dict__)  # noqa: S102


def find_script(name):
    """A bare name that is no file here is a console script: beside the interpreter, or on PATH."""
    if os.path.isfile(name) or os.sep in name:
        return name
    folders = [os.path.dirname(sys.executable)] + os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [os.path.join(folder, name) for folder in folders if os.path.isfile(os.path.join(folder, name))]
    return found[0] if found else name


def not_reached(problem):
    """What a failing launcher, settings module or import says, typed."""
    if isinstance(problem, Failure):
        return problem
    if isinstance(problem, SystemExit):
        message = "It ended itself with status %r before Django's command line started." % (problem.code,)
        return Failure("broken", message, "target", {}, failures.render(problem))
    if lacks_django(problem):
        return Failure("django_missing", failures.describe(problem), "target", {}, failures.render(problem))
    if isinstance(problem, FileNotFoundError) and failures.raised_by_us(problem):
        return Failure("launcher_missing", "There is no launcher at %s." % problem.filename, "target")
    return Failure("broken", failures.describe(problem), "target", {}, failures.render(problem))


def lacks_django(problem):
    """manage.py hides the missing module behind an ImportError of its own."""
    while problem is not None:
        if isinstance(problem, ModuleNotFoundError) and problem.name == "django":
            return True
        problem = problem.__cause__ or problem.__context__
    return False

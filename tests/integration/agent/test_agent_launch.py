"""The target is set up as its own command line does it; whatever goes wrong there has a type."""

import fcntl
import stat
import sys
from pathlib import Path

import pytest

from dbops.target import door, errors
from tests.integration.agent.frames_of import inspect, inspect_default, migrate
from tests.targets.builder import MANAGE, Project, shop_project

BIG_PROGRAM = """\
import os, sys

def main():
    assert sys.argv[1] == "django", sys.argv
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    from django.core.management import execute_from_command_line
    execute_from_command_line([sys.argv[0], *sys.argv[2:]])

if __name__ == "__main__":
    main()
"""


def pending(project: Project, **address: object) -> int:
    return len(inspect_default(project.address(**address))["plan"])


def test_manage_py_is_run_as_the_main_module(shop: Project) -> None:
    check = "\nassert __name__ == '__main__' and __file__.endswith('manage.py')\n"
    check += "assert sys.modules['__main__'].sys is sys\n"
    shop.write("manage.py", MANAGE.replace("import os, sys\n", "import os, sys\n" + check))
    assert pending(shop) == 3


def test_what_only_manage_py_loads_has_been_loaded(shop: Project) -> None:
    shop.write(".env", "SHOP_KEY=from the file\n")
    load = "    os.environ['SHOP_KEY'] = open('.env').read().partition('=')[2].strip()\n"
    shop.write("manage.py", MANAGE.replace('__main__":\n', '__main__":\n' + load))
    shop.settings("\nassert os.environ['SHOP_KEY'] == 'from the file'\n")
    assert pending(shop) == 3


def test_a_script_elsewhere_that_changes_the_path(shop: Project) -> None:
    shop.write("bin/run.py", "import sys, os\nsys.path.insert(0, os.getcwd())\n" + MANAGE)
    assert pending(shop, launcher=("bin/run.py",)) == 3


def test_a_package_that_is_run_as_a_module(shop: Project) -> None:
    shop.write("tool/__init__.py", "")
    shop.write(
        "tool/__main__.py", "import sys\nassert sys.argv[0].endswith('__main__.py'), sys.argv\n" + MANAGE
    )
    assert pending(shop, launcher=("-m", "tool")) == 3


def test_a_command_of_a_larger_program_with_its_own_settings_loader(shop: Project) -> None:
    shop.write("bigprogram.py", BIG_PROGRAM)
    assert pending(shop, launcher=("bigprogram.py", "django")) == 3
    assert migrate(shop.address(launcher=("bigprogram.py", "django"))).end.status == 0


def test_a_console_script_is_found_on_the_path(shop: Project, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "shopctl"
    script.parent.mkdir()
    script.write_text("#!/usr/bin/python\nimport sys\nsys.path.insert(0, '.')\n" + BIG_PROGRAM)
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    env = {"PATH": f"{script.parent}:/usr/bin"}
    assert pending(shop, launcher=("shopctl", "django"), env=env) == 3


def test_a_settings_module_alone_is_enough(shop: Project) -> None:
    (shop.path / "manage.py").unlink()
    assert pending(shop, launcher=(), settings_module="settings") == 3
    record = migrate(shop.address(launcher=(), settings_module="settings"))
    assert len(record.answer["recorded_after"]) == 3


def test_a_declared_settings_module_comes_before_the_launcher_s_own(shop: Project) -> None:
    shop.write("other.py", "from settings import *\nINSTALLED_APPS = []\n")
    assert pending(shop, settings_module="other") == 0


def test_a_launcher_that_migrates_on_its_own_is_not_let(shop: Project) -> None:
    first = "    from django.core.management import execute_from_command_line\n"
    first += '    execute_from_command_line(["manage.py", "migrate"])\n'
    shop.write("manage.py", MANAGE.replace("    from django", first + "    from django", 1))
    assert pending(shop) == 3
    assert not shop.sqlite.exists()


def test_an_overridden_migrate_is_honoured(shop: Project) -> None:
    shop.write("shop/management/__init__.py", "")
    shop.write("shop/management/commands/__init__.py", "")
    shop.write(
        "shop/management/commands/migrate.py",
        "from django.core.management.commands.migrate import Command as Django\n"
        "class Command(Django):\n"
        "    def handle(self, *args, **options):\n"
        "        self.stdout.write('our own migrate')\n"
        "        super().handle(*args, **options)\n",
    )
    record = migrate(shop.address())
    assert b"our own migrate" in record.output
    steps = [event["name"] for event in record.events("step_finished") if event["kind"] == "migration"]
    assert steps == ["0001_initial", "0002_name", "0003_price"]


def broken(project: Project, **address: object) -> errors.TargetError:
    with pytest.raises(errors.TargetError) as caught:
        inspect(project.address(**address))
    return caught.value


def test_an_exception_in_the_settings_shows_the_target_s_traceback_only(shop: Project) -> None:
    shop.settings("\nprint('so far')\nraise RuntimeError('no luck')\n")
    error = broken(shop)
    assert isinstance(error, errors.TargetBroken)
    assert "RuntimeError: no luck" in error.sentence
    assert "settings.py" in error.traceback
    assert "opsdash" not in error.traceback
    assert "so far" in error.output


def test_settings_that_need_another_python(shop: Project) -> None:
    shop.settings("\nthis is no python\n")
    assert "SyntaxError" in broken(shop).sentence


def test_settings_that_exit(shop: Project) -> None:
    shop.settings("\nimport sys\nprint('last words')\nsys.exit('configure me first')\n")
    error = broken(shop)
    assert isinstance(error, errors.TargetBroken)
    assert "configure me first" in error.sentence
    assert "last words" in error.output


def test_settings_that_leave_without_a_word(shop: Project) -> None:
    shop.settings("\nimport os\nprint('last words')\nos._exit(7)\n")
    error = broken(shop)
    assert isinstance(error, errors.TargetBroken)
    assert "status 7" in error.sentence
    assert "last words" in error.output


def test_settings_that_crash_the_interpreter(shop: Project) -> None:
    shop.settings("\nimport os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    assert "signal 11" in broken(shop).sentence


def test_a_launcher_that_never_reaches_django(shop: Project) -> None:
    shop.write("manage.py", "print('nothing to see')\n")
    assert "without ever starting Django" in broken(shop).sentence


def test_a_launcher_that_is_not_there(shop: Project) -> None:
    assert "no launcher" in broken(shop, launcher=("manege.py",)).sentence


def test_a_module_that_is_not_there(shop: Project) -> None:
    assert "nowhere" in broken(shop, launcher=("-m", "nowhere")).sentence


def test_a_launcher_that_executes_another_interpreter_is_refused(shop: Project) -> None:
    shop.write("manage.py", f"import os, sys\nos.execv({sys.executable!r}, ['python', *sys.argv])\n")
    error = broken(shop)
    assert isinstance(error, errors.TargetBroken)
    assert sys.executable in error.sentence


def test_a_launcher_that_starts_another_interpreter_with_its_words_migrates_nothing(shop: Project) -> None:
    shop.write("real.py", MANAGE)
    start = f"subprocess.run([{sys.executable!r}, 'real.py', *sys.argv[1:]])"
    shop.write("manage.py", f"import subprocess, sys\nsys.exit({start}.returncode)\n")
    record = migrate(shop.address())
    assert record.failure.type == "launcher_replaced"
    assert f"replaces itself by another program, {sys.executable}" in record.failure.message
    assert not shop.sqlite.exists()


def test_a_launcher_may_start_other_programs(shop: Project) -> None:
    shop.write("manage.py", "import subprocess\nsubprocess.run(['true', 'migration'], check=True)\n" + MANAGE)
    assert migrate(shop.address()).answer


GOES_ON_AS_A_DAEMON = """\
import fcntl, os, sys
if "migrate" in sys.argv:
    alive = open("alive", "w")
    fcntl.flock(alive, fcntl.LOCK_EX)
    away, gone = os.pipe()
    if os.fork():
        os.read(away, 1)
        os._exit(0)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.write(gone, b"x")
"""
APP_THAT_IS_READY = """\
from django.apps import AppConfig
class Shop(AppConfig):
    name = "shop"
    def ready(self):
        exec(open("daemon.py").read(), globals())
"""


@pytest.mark.parametrize("where", ["launcher", "set-up"])
def test_a_target_that_goes_on_as_a_daemon_migrates_nothing(shop: Project, where: str) -> None:
    if where == "launcher":
        shop.write("manage.py", GOES_ON_AS_A_DAEMON + MANAGE)
    else:
        shop.write("daemon.py", GOES_ON_AS_A_DAEMON)
        shop.write("shop/apps.py", APP_THAT_IS_READY)
    record = migrate(shop.address())
    assert not any(isinstance(frame, door.Answer) for frame in record.frames)
    with (shop.path / "alive").open() as daemon:
        fcntl.flock(daemon, fcntl.LOCK_EX)
    assert pending(shop) == 3


def test_an_interpreter_without_django(shop: Project) -> None:
    shop.write(
        "manage.py", "import sys\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n" + MANAGE
    )
    assert isinstance(broken(shop), errors.DjangoMissing)


def test_neither_launcher_nor_settings_is_one_typed_error(shop: Project) -> None:
    assert isinstance(broken(shop, launcher=()), errors.ProtocolBroken)


def test_an_unknown_verb_is_one_typed_error(shop: Project) -> None:
    with pytest.raises(errors.ProtocolBroken, match="knows no verb 'destroy'"):
        door.call(shop.address(), "destroy", {}, timeout_s=20)


def test_a_working_directory_that_is_not_there(shop: Project) -> None:
    error = broken(shop, cwd="/nowhere/at/all")
    assert isinstance(error, errors.DirectoryMissing)
    assert "/nowhere/at/all" in error.sentence


def test_set_up_that_asks_a_database_without_tables(shop: Project) -> None:
    shop.write(
        "shop/apps.py",
        "from django.apps import AppConfig\n"
        "from django.db import connection, DatabaseError\n"
        "class Shop(AppConfig):\n"
        "    name = 'shop'\n"
        "    def ready(self):\n"
        "        try:\n"
        "            connection.cursor().execute('INSERT INTO shop_item (n) VALUES (1)')\n"
        "        except DatabaseError as problem:\n"
        "            print('as expected:', problem)\n",
    )
    assert pending(shop) == 3
    assert not shop.sqlite.exists()


def test_two_targets_do_not_share_anything(tmp_path: Path) -> None:
    first, second = shop_project(tmp_path / "a"), shop_project(tmp_path / "b")
    migrate(first.address())
    assert (pending(first), pending(second)) == (0, 3)

"""One start of everything: the order of its steps, and what is told about them."""

import http.client
import time

from embedded import demo, leftovers, lineup, manage, servers, state
from embedded.environment import Settings, inherited
from embedded.errors import ServerError
from embedded.ports import LOOPBACK
from embedded.processes import Running
from embedded.screen import say, show
from embedded.servers import Servers, Wishes
from embedded.state import CHECKOUT, Secrets, State
from embedded.supervisor import Supervisor

READY_SECONDS = 90.0


class Start:
    """Starts what is missing, step by step. `perform` returns when the page can be opened."""

    def __init__(self, place: State, wishes: Wishes, supervisor: Supervisor) -> None:
        self._began = time.monotonic()
        self._place = place
        self._port = wishes.port
        self._wishes = wishes
        self._supervisor = supervisor

    def perform(self) -> None:
        leftovers.end(self._place, say)
        secrets = state.load_secrets(self._place)
        found = servers.plan(self._place, self._wishes, secrets)
        environment = self._environment(found, secrets)
        manage.keep_environment(self._place, environment)
        # Its imports take longer than the servers need to start: it begins first and waits before it acts.
        examples = demo.variables(self._place, secrets, found.demo_urls)
        preparation = self._supervisor.run(lineup.preparation(CHECKOUT, {**environment, **examples}))
        servers.start(self._place, found, secrets, self._supervisor)
        self._prepare(preparation)
        self._start_processes(environment)
        self._welcome(secrets)

    def _environment(self, found: Servers, secrets: Secrets) -> dict[str, str]:
        """The settings of `make run`; what the person has set wins, apart from where the state lies."""
        ours = Settings(
            database_url=found.database_url,
            redis_url=found.redis_url,
            secret_key=secrets.secret_key,
            sealing_key=secrets.sealing_key,
            origins=f"http://127.0.0.1:{self._port},http://localhost:{self._port}",
        ).variables()
        theirs = inherited(private_postgres=found.cluster is not None)
        fixed = ("DATABASE_URL", "REDIS_URL")
        return {**ours, **theirs, **{name: ours[name] for name in fixed}}

    def _prepare(self, preparation: Running) -> None:
        say("opsdash", "migrating its own database, registering the examples")
        preparation.write(b"\n")
        for _ in self._supervisor.pauses():
            if preparation.ended:
                break
        demo.passwords_file(self._place).unlink()
        if preparation.finish() != 0:
            raise ServerError(
                f"opsdash's own database could not be prepared; nothing was started. See {preparation.log}",
                preparation.last_lines(),
            )

    def _start_processes(self, environment: dict[str, str]) -> None:
        """The page first: side by side the imports of all would keep it waiting for twice as long."""
        say("web", f"starting on {LOOPBACK}:{self._port}")
        web = self._supervisor.keep(lineup.web(CHECKOUT, self._place, self._port, environment))
        self._wait_for(web)
        background = lineup.background(CHECKOUT, self._place, environment)
        say("workers", f"starting {', '.join(program.name for program in background)}")
        for program in background:
            self._supervisor.keep(program)

    def _wait_for(self, web: Running) -> None:
        deadline = time.monotonic() + READY_SECONDS
        for _ in self._supervisor.pauses():
            answer = _ask_if_alive(self._port)
            if answer == "200":
                return
            if web.ended or time.monotonic() > deadline:
                said = f"ended {web.how_it_ended()}" if web.ended else f"answered {answer or 'nothing'}"
                raise ServerError(
                    f"The web process {said} instead of serving. See {web.log}", web.last_lines()
                )

    def _welcome(self, secrets: Secrets) -> None:
        seconds = time.monotonic() - self._began
        logins = [f"{name:<10} {password}" for name, password in secrets.people.items()]
        rows = [
            ("Address", f"http://{LOOPBACK}:{self._port}/"),
            *zip(("Logins", "", "", ""), logins, strict=True),
            ("State", str(self._place.root)),
            ("Logs", str(self._place.logs)),
            ("Shell", "make manage ARGS=status, in another terminal"),
            ("Your own", 'make manage ARGS="add_target NAME /path/to/project"'),
            ("Stop", "Ctrl-C; `make clean-state` then removes the state"),
        ]
        show(f"\nopsdash is ready after {seconds:.1f} s.\n")
        for label, value in rows:
            show(f"  {label:<9} {value}")
        show("")


def _ask_if_alive(port: int) -> str:
    """The status of /livez, or nothing if nobody answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/livez")
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()

"""`make compose-smoke`: docker-compose.yml and the Dockerfile, built and used for real.

Needs a Docker engine, and docker compose or docker-compose. Not part of `make test`.
"""

import re
import time
from datetime import datetime

from embedded import ports
from tests.compose.engine import Installation, installation, say, until
from tests.compose.person import Person

PASSWORD = "a superuser of the smoke 1"
OURS = ("web", "worker", "inspect", "prober", "beat")


def main() -> None:
    began = time.monotonic()
    with installation(ports.choose()) as opsdash:
        build(opsdash)
        start(opsdash)
        nothing_runs_with_more_than_it_needs(opsdash)
        person = first_person(opsdash)
        register_the_shop(opsdash, person)
        migrate_to_success(person)
        restart_both_servers_in_mid_job(opsdash, person)
        down_and_up(opsdash)
        take_all_down(opsdash)
    say(f"compose-smoke passed in {time.monotonic() - began:.0f} s")


def build(opsdash: Installation) -> None:
    say(f"using {' '.join(opsdash.command)}: {opsdash.compose('version', '--short').strip()}")
    opsdash.compose("config", "-q")
    opsdash.compose("build")
    size = int(opsdash.docker("image", "inspect", "opsdash:smoke", "--format", "{{.Size}}"))
    say(f"built opsdash:smoke, {size / 1e6:.0f} MB with its base")


def start(opsdash: Installation) -> None:
    opsdash.compose("up", "-d")
    until(lambda: opsdash.is_healthy("web"), "web is healthy")
    # `ps -q` names ended containers as well in one version of compose, in the other with -a only.
    migrate = opsdash.docker(
        "ps", "-aq",
        "--filter", f"label=com.docker.compose.project={opsdash.project}",
        "--filter", "label=com.docker.compose.service=migrate",
    ).strip()  # fmt: skip
    ended = moment(opsdash, migrate, "FinishedAt")
    assert opsdash.docker("inspect", "--format", "{{.State.ExitCode}}", migrate).strip() == "0"
    early = [name for name in OURS if moment(opsdash, opsdash.container(name), "StartedAt") < ended]
    assert not early, f"started before migrate had completed: {early}"
    say("started: migrate completed, then web and workers began")


def moment(opsdash: Installation, container: str, name: str) -> datetime:
    text = opsdash.docker("inspect", "--format", f"{{{{.State.{name}}}}}", container).strip()
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00")


def nothing_runs_with_more_than_it_needs(opsdash: Installation) -> None:
    compiler = "which gcc cc pg_config || echo no compiler"
    script = f"id -u; {compiler}; touch /srv/targets/x 2>&1; touch /opt/opsdash/x 2>&1; true"
    told = opsdash.compose("exec", "-T", "worker", "sh", "-c", script)
    assert told.splitlines()[0] == "10001", told
    assert told.count("Read-only file system") == 2, told
    # A base image may bring a compiler along; ours adds none.
    say(
        "unprivileged user, targets and root file system read-only"
        + (", no compiler" if "no compiler" in told else "")
    )
    for service in (*OURS, "db", "redis"):
        arguments = opsdash.docker("top", opsdash.container(service))
        assert not [secret for secret in opsdash.secrets() if secret in arguments], (
            f"a secret in argv of {service}"
        )
    say("no secret in the arguments of any process")
    told = opsdash.compose("exec", "-T", "redis", "sh", "-c", "redis-cli ping 2>&1; true")
    assert "NOAUTH" in told, told
    ask = "REDISCLI_AUTH=$REDIS_PASSWORD redis-cli config get"
    told = opsdash.compose("exec", "-T", "redis", "sh", "-c", f"{ask} appendonly; {ask} maxmemory-policy")
    assert told.split() == ["appendonly", "yes", "maxmemory-policy", "noeviction"], told
    say("redis: password, append-only file, noeviction")


def first_person(opsdash: Installation) -> Person:
    opsdash.manage(
        "createsuperuser", "--noinput", "--username", "root", "--email", "root@example.org",
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )  # fmt: skip
    person = Person(opsdash.url)
    person.sign_in("root", PASSWORD)
    say("signed in over HTTP")
    return person


def register_the_shop(opsdash: Installation, person: Person) -> None:
    opsdash.manage("sync_targets")
    until(lambda: "to apply" in person.page("/targets/shop/"), "the shop is inspected")
    until(
        lambda: "answers" in person.page("/targets/shop/"), "the prober says that the shop's server answers"
    )
    say("the shop is registered from targets.toml, inspected and probed")


def migrate_to_success(person: Person) -> None:
    job = person.start_migrate(app="auth")
    events = list(person.follow(job))
    assert events[-1] == ("end", {"state": "succeeded"}), events[-1]
    say(f"{job} migrated auth, followed by its stream to the end")


def restart_both_servers_in_mid_job(opsdash: Installation, person: Person) -> None:
    job = person.start_migrate(app="catalog")
    until(lambda: "50 / 300 products" in person.page(f"{job}transcript.txt"), "the job is in the middle")
    opsdash.compose("restart", "-t", "10", "db", "redis")
    say(f"restarted db and redis in the middle of {job}")
    until(lambda: state_of(person, job) == "succeeded", f"{job} succeeded")
    transcript = person.page(f"{job}transcript.txt")
    batches = re.findall(r"(\d+) / 300 products", transcript)
    assert batches == ["50", "100", "150", "200", "250", "300"], transcript
    say("it went on and succeeded, and no line is missing or doubled")


def state_of(person: Person, job: str) -> str:
    try:
        found = re.search(r'id="job_state" data-state="(\w+)"', person.page(job))
    except OSError:  # web answers 503 while its database is away
        return ""
    return found.group(1) if found else ""


def down_and_up(opsdash: Installation) -> None:
    opsdash.compose("down")
    opsdash.compose("up", "-d")
    until(lambda: opsdash.is_healthy("web"), "web is healthy again")
    person = Person(opsdash.url)
    person.sign_in("root", PASSWORD)
    listed = person.page("/jobs/")
    assert all(f"/jobs/{number}/" in listed for number in (1, 2)), listed
    logged = opsdash.compose("logs", "db")
    assert "not properly shut down" not in logged, logged
    say("down and up: people and jobs are still there")
    job = person.start_migrate()
    until(lambda: state_of(person, job) == "succeeded", f"{job} succeeded", limit_s=300)
    say(f"{job} applied the rest")


def take_all_down(opsdash: Installation) -> None:
    opsdash.compose("down", "-v")
    label = f"label=com.docker.compose.project={opsdash.project}"
    for kind in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        assert not opsdash.docker(*kind, "--filter", label).strip(), f"left: {kind}"
    say("all down: no container, volume or network is left")


if __name__ == "__main__":
    main()

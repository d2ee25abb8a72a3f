"""Whether a job can be asked for once more: the same on the same database, or not at all."""

from dbops.models import Job


def is_repeatable(job: Job) -> bool:
    """A remedy is not: what it is for stands in the job that it was asked for from."""
    return job.operation == "migrate"


def why_not_again(job: Job) -> str:
    """A sentence; "" when it can. What else may stand in the way is found when it is started."""
    if not is_repeatable(job):
        return f"Job {job.pk} was a remedy: such a one is asked for on the page of the job that shows why."
    if job.is_active:
        return f"Job {job.pk} is {job.state}: it can be run again when it has ended."
    if not job.database.in_settings:
        return (
            f"The settings of {job.database.target.name} do not name the alias {job.database.alias} any "
            f"more, so that job {job.pk} cannot be run again."
        )
    return _other_database(job)


def _other_database(job: Job) -> str:
    now = job.database
    # Where nothing told what it was, another name tells that it is not the same.
    if job.identity == now.identity if job.identity else job.database_name in ("", now.name):
        return ""
    here = f"leads to another database now: {_named(now.name, job.database_name)}"
    if job.identity and not now.identity:
        here = "does not tell which database it leads to now"
    return f"The alias {now.alias} {here}. Job {job.pk} is not run there; ask for a new one if that is meant."


def _named(name: str, before: str) -> str:
    return f"to {name}, not to {before}" if name != before else f"to another one that is called {name} too"


def same_database_is_known(job: Job) -> bool:
    return bool(job.identity) and job.identity == job.database.identity

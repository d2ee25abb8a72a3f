"""Whether the alias of a job still leads to the database that the job was asked for."""

from dbops.models import Job


def why_elsewhere(job: Job) -> str:
    """Why what is asked for there now may reach another database than the job did, as a clause; or ""."""
    return why_gone(job) or why_another(job)


def why_gone(job: Job) -> str:
    database = job.database
    if database.in_settings:
        return ""
    return f"the settings of {database.target.name} do not name the alias {database.alias} any more"


def why_another(job: Job) -> str:
    now = job.database
    # Where nothing told what it was, another name tells that it is not the same.
    if job.identity == now.identity if job.identity else job.database_name in ("", now.name):
        return ""
    if job.identity and not now.identity:
        return f"the alias {now.alias} does not tell which database it leads to now"
    return f"the alias {now.alias} leads to another database now: {_named(now.name, job.database_name)}"


def _named(name: str, before: str) -> str:
    return f"to {name}, not to {before}" if name != before else f"to another one that is called {name} too"


def same_database_is_known(job: Job) -> bool:
    return bool(job.identity) and job.identity == job.database.identity

from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from dbops.access import shell_actor
from dbops.management.commands._shell import ShellCommand
from dbops.models import AuditEvent, TargetDatabase, TargetVariable
from dbops.sealing import reseal


class Command(ShellCommand):
    help = "Seal every stored secret with the first key of OPSDASH_SEALING_KEYS; the others may go then."

    @transaction.atomic
    def handle(self, **options: Any) -> None:
        variables = TargetVariable.objects.select_for_update().filter(is_secret=True)
        for variable in variables:
            variable.sealed = reseal(variable.sealed)
            variable.save(update_fields=["sealed"])
        databases = TargetDatabase.objects.select_for_update(of=("self",)).exclude(sealed_connection="")
        for database in databases:
            database.sealed_connection = reseal(database.sealed_connection)
            database.save(update_fields=["sealed_connection"])
        factors = Authenticator.objects.select_for_update()
        for factor in factors:
            factor.data |= {
                name: reseal(factor.data[name]) for name in ("secret", "seed") if name in factor.data
            }
            factor.save(update_fields=["data"])
        AuditEvent.objects.record(
            "secrets.rotate",
            shell_actor(),
            variables=len(variables),
            connections=len(databases),
            factors=len(factors),
        )
        self.stdout.write(
            f"Sealed anew: {len(variables)} variables, {len(databases)} connections, "
            f"{len(factors)} second factors and sets of codes."
        )

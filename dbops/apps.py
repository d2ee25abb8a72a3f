from importlib import import_module

from django.apps import AppConfig


class DbopsConfig(AppConfig):
    name = "dbops"
    verbose_name = "Database operations"

    def ready(self) -> None:
        import_module("dbops.checks")
        # Hears that somebody signs in.
        import_module("dbops.signing.sessions")

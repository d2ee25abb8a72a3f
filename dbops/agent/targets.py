"""From an app label and a migration's name to the nodes that Django calls targets."""

from django.apps import apps
from django.db.migrations.loader import AmbiguityError

from .failures import Failure


def resolve(loader, app, name):
    """The targets and, where one was named, the full name of the migration. Bad words are a Failure bad_argument."""
    if not app:
        if name:
            raise bad("A migration was named without its app.")
        return loader.graph.leaf_nodes(), ""
    if app not in loader.migrated_apps:
        raise bad(no_such_app(app))
    if not name:
        return [key for key in loader.graph.leaf_nodes() if key[0] == app], ""
    if name == "zero":
        return [(app, None)], "zero"
    return [find(loader, app, name)], name


def find(loader, app, name):
    exact = loader.disk_migrations.get((app, name))
    try:
        migration = exact or loader.get_migration_by_prefix(app, name)
    except AmbiguityError as problem:
        raise bad("The app %s has more than one migration that begins with %r." % (app, name)) from problem
    except KeyError as problem:
        raise bad("The app %s has no migration that begins with %r." % (app, name)) from problem
    key = (app, migration.name)
    # As Django does it: a squash that is applied in part is not in the graph; its last replaced migration stands for it.
    if key not in loader.graph.nodes and key in loader.replacements:
        key = tuple(loader.replacements[key].replaces[-1])
    if key not in loader.graph.nodes:
        raise bad(
            "The migration %s.%s has been replaced by a squashed one and can no longer be a target." % key
        )
    return key


def no_such_app(app):
    labels = {config.label for config in apps.get_app_configs()}
    return (
        "The app %s has no migrations." % app
        if app in labels
        else "There is no installed app with the label %r." % app
    )


def bad(message):
    return Failure("bad_argument", message, "person")

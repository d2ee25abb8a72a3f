"""perform, operation "makemigrations": the migrations that were seen in a preview are written, through the
project's own command. It changes the tree, not a database, so it takes no guard; every connection of it is
read-only.

Arguments: merge (all conflicts that there are), expected: the preview's fingerprint (see previews),
directory: the target's working directory, seen: {path: sha256} of files of the tree as the worker reads them.
Events: about, files {directory, files: [[app, name, path]]}: what is to be written; working, step_started and
step_finished of kind "file".
Answer: files: [{app, name, path, text}] that are new, changed: [path] of others that the command changed
beside them. An error behind `working` has both among its facts. preview_changed has files: [[app, name]] and
fingerprint, as they would be now.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import django
from django.core.management import CommandError

from . import cancel, failures, new_files, previews, tree
from .failures import Failure
from .progress import Progress

if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel
    from .previews import Preview

TEXT_LIMIT = 300_000


class MakeMigrations:
    def __init__(self, arguments: dict[str, Any], channel: Channel, utility: Any) -> None:
        self.merge = bool(arguments.get("merge"))
        self.expected = arguments.get("expected") or ""
        self.directory = arguments.get("directory") or ""
        self.seen = arguments.get("seen") or {}
        self.channel = channel
        self.utility = utility
        self.progress = Progress(channel)
        self.before: dict[str, tuple[int, int]] = {}
        self.named: dict[str, tuple[str, str]] = {}

    def run(self) -> dict[str, Any]:
        with tree.held(self.directory or os.getcwd()):
            tree.prove(self.seen)
            self.channel.event("about", python=sys.version.split()[0], django=django.get_version())
            preview = previews.preview(self.utility.fetch_command("makemigrations"), merge=self.merge)
            self.check(preview)
            tree.refuse_outside(self.directory or os.getcwd(), [path for _, _, path, _ in preview.files])
            return self.write(preview)

    def check(self, preview: Preview) -> None:
        if preview.fingerprint != self.expected:
            files = [[app, name] for app, name, _, _ in preview.files]
            would = ", ".join(".".join(pair) for pair in files) or "nothing"
            facts = {"files": files, "fingerprint": preview.fingerprint}
            message = f"it would write something else by now than what was seen: {would}."
            raise Failure("preview_changed", message, "person", facts)

    def write(self, preview: Preview) -> dict[str, Any]:
        self.named = {path: (app, name) for app, name, path, _ in preview.files}
        self.folders = {os.path.dirname(path) for path in self.named}
        self.before = tree.modules(self.folders)
        planned = [[app, name, path] for app, name, path, _ in preview.files]
        self.channel.event("files", directory=self.directory, files=planned)
        self.channel.leave_a_fork()
        try:
            self.channel.event("working")
            with new_files.only_new(self.folders, self.on_new):
                self.call_command()
        except BaseException as problem:
            raise self.failure(problem) from problem
        return self.written()

    def call_command(self) -> None:
        """Through its command line, as the project does it: its own arguments, system checks, overrides."""
        words = [*(["--merge"] if self.merge else []), "--noinput", "--no-color", "--traceback"]
        command = self.utility.fetch_command("makemigrations")
        try:
            command.run_from_argv([self.utility.prog_name, "makemigrations", *words, "--verbosity", "1"])
        except SystemExit as problem:
            if problem.code not in (None, 0):
                raise

    def on_new(self, path: str) -> None:
        self.progress.start("file", name=os.path.relpath(path, self.directory or None))
        self.progress.finish()

    def written(self) -> dict[str, Any]:
        """By what is there now, whoever wrote it and however."""
        now = tree.modules(self.folders)
        # Most have the name that they had in the preview.
        new = [path for path in sorted(now) if path not in self.before]
        changed = [path for path in sorted(now) if path in self.before and now[path] != self.before[path]]
        return {"files": [self.fact(path) for path in new], "changed": changed}

    def fact(self, path: str) -> dict[str, str]:
        app, name = self.named.get(path) or ("", os.path.splitext(os.path.basename(path))[0])
        return {"app": app, "name": name, "path": path, "text": text_of(path)}

    def failure(self, problem: BaseException) -> Failure:
        facts = self.written()
        if isinstance(problem, Failure):
            problem.facts.update(facts)
            return problem
        if cancel.requested:
            return failures.of(problem, "act_failed", facts)
        if isinstance(problem, OSError) and problem.filename:
            message = f"{problem.filename} cannot be written: {problem.strerror}."
            return Failure("tree_unwritable", message, "server", facts)
        if isinstance(problem, (CommandError, SystemExit)) and not facts["files"]:
            return Failure("makemigrations_refused", failures.describe(problem), "target", facts)
        return failures.of(problem, "act_failed", facts)


def text_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(TEXT_LIMIT + 1)
    except OSError as problem:
        return f"(cannot be read: {problem.strerror})"
    return failures.clean(data.decode("utf-8", "backslashreplace"), TEXT_LIMIT)

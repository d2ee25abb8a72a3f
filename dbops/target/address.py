"""How to reach one target's interpreter."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

# ssh's options that take a value of their own word: ssh(1).
SSH_OPTIONS_WITH_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")


@dataclass(frozen=True)
class Address:
    """`env` is complete, resolved and secret; `launcher` empty means: by `settings_module` alone."""

    name: str
    argv: tuple[str, ...]
    through_shell: bool = False
    cwd: str = ""
    launcher: tuple[str, ...] = ("manage.py",)
    settings_module: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    def command(self, program: str) -> list[str]:
        """The argv that runs the Python source `program`."""
        if not self.through_shell:
            return [*self.argv, "-c", program]
        local = local_words(self.argv)
        remote = [*self.argv[local:], "-c", program]
        return [*self.argv[:local], *map(shlex.quote, remote)]


def local_words(argv: tuple[str, ...]) -> int:
    """How many words the local program takes for itself; a remote shell parses the others again."""
    return ssh_words(argv) if PurePath(argv[0]).name == "ssh" else 1


def ssh_words(argv: tuple[str, ...]) -> int:
    """ssh's own: its options, and the first word that is none, the destination. Options may also follow
    that."""
    position, destination = 1, False
    while position < len(argv):
        word = argv[position]
        if not is_option(word):
            if destination:
                return position
            destination = True
        elif takes_next_word(word):
            position += 1
        position += 1
    return len(argv)


def is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def takes_next_word(word: str) -> bool:
    """-p 22, -vp 22; not -p22."""
    letters = word[1:]
    first = next((i for i, letter in enumerate(letters) if letter in SSH_OPTIONS_WITH_VALUE), None)
    return first is not None and first == len(letters) - 1

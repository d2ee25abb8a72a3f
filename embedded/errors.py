"""Why something could not be done, typed by whose fault it is. Each message is a sentence for the
terminal."""


class EmbeddedError(Exception):
    """Something could not be done. `details` are lines that help to find out why, mostly the end of a log."""

    def __init__(self, sentence: str, details: str = "") -> None:
        super().__init__(sentence)
        self.details = details


class ChoiceError(EmbeddedError):
    """The person asked for something that cannot be had: a taken port, a second start, an unusable URL."""


class MachineError(EmbeddedError):
    """The machine lacks something: space on the disk, a wheel, a system user, a permission."""


class ServerError(EmbeddedError):
    """Postgres, Redis or a process of opsdash did not start."""

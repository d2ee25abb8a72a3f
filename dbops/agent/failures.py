"""What goes wrong, typed by whose fault it is."""

import traceback as tracebacks

from . import redaction

OURS = "opsdash-agent/"
MACHINERY = (OURS, "<frozen ", "<string>")


class Failure(Exception):
    """Ends the verb with an error frame. `fault` is target, server, person, caller or agent."""

    def __init__(self, kind, message, fault, facts=None, traceback=""):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.fault = fault
        self.facts = facts or {}
        self.traceback = traceback

    def as_dict(self):
        return {
            "type": self.kind,
            "message": clean(self.message),
            "traceback": clean(self.traceback),
            "fault": self.fault,
            "facts": self.facts,
        }


def of(problem, kind, fault="target", facts=None):
    """An exception as a Failure; one that was raised in our own code is the agent's, whatever the caller expected."""
    if isinstance(problem, Failure):
        return problem
    if raised_by_us(problem):
        kind, fault = "internal", "agent"
    return Failure(kind, describe(problem), fault, facts, render(problem))


def describe(problem):
    text = str(problem).strip()
    return "%s: %s" % (type(problem).__name__, text) if text else type(problem).__name__


def raised_by_us(problem):
    """True when the innermost frame is ours, not that of Django or of the target."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(OURS)


def render(problem):
    """The traceback as the target's own command line would have shown it: without the frames that lead to it."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(MACHINERY):
        trace = trace.tb_next
    return "".join(tracebacks.format_exception(type(problem), problem, trace))


def clean(text):
    """Storable text without secrets: UTF-8, no NUL."""
    text = str(text).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    return redaction.redact(text)

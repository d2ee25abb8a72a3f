"""Taking secrets out of text: those that are declared, in whatever form they are written, and what has the
shape of one."""

from dbops.redaction.redactor import Passage, Redactor
from dbops.redaction.shapes import MASK, without_tokens

__all__ = ["MASK", "Passage", "Redactor", "without_tokens"]

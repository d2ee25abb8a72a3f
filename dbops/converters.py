"""What may stand in a URL for a name: anything else is no address of ours."""

import re

from django.urls import register_converter
from django.urls.converters import StringConverter

from dbops.models.target import NAME


class TargetNameConverter(StringConverter):
    regex = re.compile(NAME.regex).pattern.removeprefix(r"\A").removesuffix(r"\Z")


class AliasConverter(StringConverter):
    # Postgres refuses to look for a text with a NUL.
    regex = r"[^/\0]+"


register_converter(TargetNameConverter, "target")
register_converter(AliasConverter, "alias")

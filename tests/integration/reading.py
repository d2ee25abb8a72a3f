"""What a person reads of a target or a job, on the page and in a shell."""

import re
from html import unescape
from io import StringIO

from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

TAGS = re.compile(r"<script.*?</script>|<[^>]+>", re.DOTALL)


def page(url: str) -> str:
    """The words of a page, as an operator sees it."""
    person, _ = User.objects.get_or_create(username="reader")
    person.groups.add(Group.objects.get_or_create(name="operators")[0])
    client = Client()
    client.force_login(person)
    response = client.get(url)
    assert response.status_code == 200, url
    return words_of(response.content.decode())


def words_of(html: str) -> str:
    return " ".join(unescape(TAGS.sub(" ", html)).split())


def command(*argv: str) -> str:
    out = StringIO()
    try:
        call_command(*argv, stdout=out, stderr=out)
    except SystemExit:
        return out.getvalue()
    return out.getvalue()

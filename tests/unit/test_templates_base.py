"""templates/base.html and the login page, rendered without the rest of opsdash."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import include, path


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("", nothing, name="overview"),
    path("jobs/", nothing, name="jobs"),
    path("login/", nothing, name="login"),
    path("logout/", nothing, name="logout"),
    path("account/", nothing, name="account"),
    path("login/provider/", nothing, name="provider_sign_in"),
    path("tokens/", nothing, name="tokens"),
    path("admin/", include(([path("", nothing, name="index")], "admin"))),
]

pytestmark = pytest.mark.urls(__name__)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [
            given
            for name, given in self.tags
            if name == tag and all(given.get(key) == value for key, value in attributes.items())
        ]


class Message:
    def __init__(self, level_tag: str, text: str) -> None:
        self.level_tag = self.tags = level_tag
        self.text = text

    def __str__(self) -> str:
        return self.text


def render(name: str, user: Any = None, at: str = "/", **context: Any) -> str:
    request = RequestFactory().get(at)
    template = Template(f'{{% extends "{name}" %}}')
    given = {"user": user or AnonymousUser(), "request": request, **context}
    return template.render(Context({**given, "csrf_token": "the-token"}))


def test_a_guest_sees_no_navigation_and_no_way_out() -> None:
    page = Page(render("base.html"))
    assert page.all("nav", **{"aria-label": "Main"}) == []
    assert page.all("form") == []


def test_a_person_sees_where_they_are_and_who() -> None:
    html = render("base.html", User(username="ada"), at="/jobs/", role="operator")
    page = Page(html)
    assert page.all("a", href="/jobs/")[0].get("aria-current") == "page"
    assert "aria-current" not in page.all("a", href="/")[1]
    assert ">ada<" in html
    assert ">operator<" in html


def test_only_a_superuser_is_led_to_the_configuration() -> None:
    assert 'href="/admin/"' not in render("base.html", User(username="ada", is_staff=True))
    assert 'href="/admin/"' in render("base.html", User(username="ada", is_superuser=True))


def test_logging_out_is_a_post() -> None:
    page = Page(render("base.html", User(username="ada")))
    assert page.all("form", action="/logout/")[0]["method"] == "post"
    assert page.all("input", name="csrfmiddlewaretoken")[0]["value"] == "the-token"


def test_htmx_is_told_not_to_evaluate_and_not_to_leave() -> None:
    page = Page(render("base.html"))
    configuration = json.loads(page.all("meta", name="htmx-config")[0]["content"])
    assert configuration["allowEval"] is False
    assert configuration["selfRequestsOnly"] is True
    assert configuration["includeIndicatorStyles"] is False
    assert configuration["historyCacheSize"] == 0
    assert json.loads(page.all("body")[0]["hx-headers"]) == {"X-CSRFToken": "the-token"}


def test_a_refusal_is_swapped_and_other_errors_are_not() -> None:
    page = Page(render("base.html"))
    handling = json.loads(page.all("meta", name="htmx-config")[0]["content"])["responseHandling"]

    def swaps(status: str) -> bool:
        return bool(next(rule["swap"] for rule in handling if re.search(rule["code"], status)))

    assert [swaps(status) for status in ("200", "409", "422")] == [True, True, True]
    assert [swaps(status) for status in ("204", "400", "403", "404", "500", "502")] == [False] * 6


def test_messages_are_announced_by_their_weight() -> None:
    html = render("base.html", messages=[Message("success", "done"), Message("error", "<b>not</b> done")])
    page = Page(html)
    assert [item["role"] for item in page.all("li")] == ["status", "alert"]
    assert "&lt;b&gt;not&lt;/b&gt; done" in html


def test_a_keyboard_can_skip_to_the_content() -> None:
    page = Page(render("base.html"))
    assert page.all("a")[0]["href"] == "#content-start"
    assert page.all("main", id="content-start")
    for landmark in ("header", "nav", "main", "footer"):
        assert page.all(landmark), landmark


def test_every_file_it_links_is_there(settings: Any) -> None:
    page = Page(render("base.html", User(username="ada")))
    links = [tag["src"] for tag in page.all("script")] + [tag["href"] for tag in page.all("link")]
    assert len(links) >= 5
    for link in links:
        name = link.removeprefix(settings.STATIC_URL)
        assert finders.find(name), f"{link} is not there"


def test_the_login_page_says_what_is_wrong_with_the_fields() -> None:
    form = AuthenticationForm(RequestFactory().get("/"), data={"username": "ada", "password": ""})
    form.errors  # noqa: B018  (asks for the validation)
    html = render("registration/login.html", form=form, next="/jobs/")
    page = Page(html)
    assert page.all("input", name="next")[0]["value"] == "/jobs/"
    assert page.all("form", id="login-form")[0] == {"method": "post", "id": "login-form", "action": "/login/"}
    assert "This field is required." in html
    assert page.all("title") and "Error: Log in" in html


def test_the_page_says_what_the_server_calls_now() -> None:
    page = Page(render("base.html"))
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", page.all("html")[0]["data-server-now"])

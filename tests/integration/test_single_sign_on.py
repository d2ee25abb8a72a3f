"""Single sign-on, against a real provider of OpenID Connect: who comes in, as what, and what goes wrong."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.test import Client

from dbops import conf, confirming
from dbops.models import AuditEvent, Identity
from tests.integration.signing import GROUP, grow_old, is_in, next_code, set_up, type_password
from tests.provider.process import CLIENT, PASSWORD, Provider, provider

pytestmark = pytest.mark.django_db

BACK = "http://testserver/login/provider/back/"
NOT_SIGNED_IN = "Nothing was changed here."


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with provider(tmp_path_factory.mktemp("provider"), BACK, ada=[], viewer=[], grace=[]) as running:
        yield running


@pytest.fixture
def there(process: Provider, settings: Any) -> Provider:
    settings.SIGN_ON = conf.Provider(
        issuer=process.issuer,
        client_id=CLIENT,
        client_secret=process.secret,
        name="The Provider",
        claim="groups",
        scopes="openid profile email",
        roles={
            "viewers": frozenset({"all"}),
            "operators": frozenset({"ops"}),
            "staff": frozenset({"dba"}),
            "superusers": frozenset({"root"}),
        },
        groups={"shop team": frozenset({"shop"})},
    )
    process.people(ada=["all"], viewer=["all"], grace=[])
    process.faults()
    return process


class Browser:
    """What one person's browser keeps of the provider, and of opsdash."""

    def __init__(self) -> None:
        self.here, self.there = Client(), requests.Session()

    def leave(self, path: str = "/login/provider/", **sent: str) -> str:
        answer = self.here.get(path, sent)
        assert answer.status_code == 302, answer.status_code
        return str(answer["Location"])

    def sign_in_there(self, place: str, name: str = "ada") -> str:
        """The address that the provider sends the browser back to."""
        answer = self.there.get(place, allow_redirects=False, timeout=10)
        for _ in range(6):
            target = str(answer.headers.get("Location", ""))
            if target.startswith(BACK):
                return target
            if target:
                place = urljoin(str(answer.url), target)
                answer = self.there.get(place, allow_redirects=False, timeout=10)
            else:
                assert answer.status_code == 200, answer.text[:500]
                answer = self._type(str(answer.url), name)
        raise AssertionError(f"the provider sends nobody back: {answer.status_code} {answer.url}")

    def _type(self, url: str, name: str) -> requests.Response:
        sent = {
            "username": name,
            "password": PASSWORD,
            "next": parse_qs(urlsplit(url).query)["next"][0],
            "csrfmiddlewaretoken": self.there.cookies["csrftoken"],
        }
        return self.there.post(url, sent, allow_redirects=False, timeout=10)

    def come_back(self, target: str) -> Any:
        return self.here.get(target.removeprefix("http://testserver"))

    def sign_in(self, name: str = "ada", **sent: str) -> Any:
        return self.come_back(self.sign_in_there(self.leave(**sent), name))


def roles(name: str) -> tuple[bool, bool, set[str]]:
    user = User.objects.get(username=name)
    return user.is_staff, user.is_superuser, set(user.groups.values_list("name", flat=True))


def test_somebody_comes_in_and_is_led_to_the_page_that_they_wanted(there: Provider) -> None:
    browser = Browser()
    assert "Log in with The Provider" in browser.here.get("/login/").content.decode()
    assert browser.sign_in(next="/jobs/?state=failed")["Location"] == "/jobs/?state=failed"
    assert browser.here.get("/").status_code == 200
    identity = Identity.objects.get()
    assert (identity.issuer, identity.user.username) == (there.issuer, "ada")
    assert not identity.user.has_usable_password()
    assert list(AuditEvent.objects.order_by("id").values_list("act", "actor")) == [
        ("roles.from_provider", "ada"),
        ("sign_in", "ada"),
    ]
    assert browser.sign_in()["Location"] == "/" and User.objects.count() == 1


def test_the_way_there_carries_state_nonce_and_a_challenge(there: Provider) -> None:
    browser = Browser()
    first, second = (parse_qs(urlsplit(browser.leave()).query) for _ in range(2))
    assert first["code_challenge_method"] == ["S256"] and first["redirect_uri"] == [BACK]
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
    assert there.secret not in str(first)


def test_without_a_provider_there_is_no_such_way(settings: Any) -> None:
    settings.SIGN_ON = None
    for path in ("/login/provider/", "/login/provider/back/"):
        assert Client().get(path).status_code == 404
    assert "provider" not in Client().get("/login/").content.decode()


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["all"], (False, False, {"viewers"})),
        (["all", "ops", "shop"], (False, False, {"viewers", "operators", "shop team"})),
        (["dba"], (True, False, set())),
        (["root"], (True, True, set())),
        ("ops", (False, False, {"operators"})),
        (["ALL", "al", "all "], (False, False, set())),
        ([["all"], None, 7, {"all": 1}], (False, False, set())),
        ({"all": True}, (False, False, set())),
        (None, (False, False, set())),
    ],
)
def test_groups_there_are_roles_here(
    there: Provider, groups: Any, expected: tuple[bool, bool, set[str]]
) -> None:
    there.people(ada=groups)
    Browser().sign_in()
    assert roles("ada") == expected


def test_roles_are_renewed_at_each_sign_in_and_taken_away(there: Provider) -> None:
    there.people(ada=["root", "shop", "ops"])
    Browser().sign_in()
    User.objects.get().groups.add(Group.objects.create(name="ours alone"))
    there.people(ada=["all"])
    Browser().sign_in()
    assert roles("ada") == (False, False, {"viewers", "ours alone"})
    event = AuditEvent.objects.filter(act="roles.from_provider").order_by("id").last()
    assert event
    assert event.before == ["superuser", "staff", "operators", "ours alone", "shop team"]
    assert event.after == ["ours alone", "viewers"]


def test_whom_the_provider_gives_no_role_is_told_so(there: Provider) -> None:
    browser = Browser()
    browser.sign_in("grace")
    page = browser.here.get("/")
    assert page.status_code == 403
    assert "none of your groups there gives you a role here" in page.content.decode()


def test_a_local_account_is_not_taken_over_by_name_or_address(
    there: Provider, people: dict[str, User]
) -> None:
    User.objects.filter(username="viewer").update(email="viewer@example.org", is_superuser=True)
    Browser().sign_in("viewer")
    found = Identity.objects.get().user
    assert found.username == "viewer-2" and found.pk != people["viewer"].pk
    assert not found.is_superuser
    assert type_password(Client(), "viewer").status_code == 302


def test_another_name_there_is_still_the_same_person_and_another_issuer_is_not(
    there: Provider, settings: Any
) -> None:
    Browser().sign_in()
    there.faults(preferred_username="ada-of-old")
    Browser().sign_in()
    assert User.objects.count() == 1
    Identity.objects.update(issuer="https://another.example")
    Browser().sign_in()
    assert User.objects.count() == 2


def test_a_person_with_a_second_factor_here_is_asked_for_it(there: Provider) -> None:
    browser = Browser()
    browser.sign_in()
    secret, _ = set_up(browser.here)
    again = Browser()
    assert again.sign_in(next="/jobs/")["Location"] == "/login/code/" and not is_in(again.here)
    assert again.here.post("/login/code/", {"code": next_code(secret)})["Location"] == "/jobs/"
    assert is_in(again.here)


def test_who_is_switched_off_here_does_not_come_in(there: Provider) -> None:
    Browser().sign_in()
    User.objects.update(is_active=False)
    browser = Browser()
    assert "Your account here is switched off." in browser.sign_in().content.decode()
    assert not is_in(browser.here)


@pytest.mark.parametrize(
    "faults",
    [
        {"nonce": "another"},
        {"iss": "https://another.example"},
        {"aud": "another"},
        {"aud": ["another"]},
        {"exp": 1000},
        {"iat": 99999999999},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
        {"nonce": ""},
        {"forged": True},
    ],
    ids=str,
)
def test_a_token_that_proves_nothing_signs_nobody_in(there: Provider, faults: dict[str, Any]) -> None:
    there.faults(**faults)
    browser = Browser()
    answer = browser.sign_in()
    assert answer.status_code == 502 and NOT_SIGNED_IN in answer.content.decode(), answer.status_code
    assert not is_in(browser.here) and not User.objects.exists()
    assert AuditEvent.objects.get().act == "sign_in.failed"


@pytest.mark.parametrize("change", ["state", "code", "none", "denied", "odd"])
def test_an_answer_that_was_tampered_with_signs_nobody_in(there: Provider, change: str) -> None:
    browser = Browser()
    target = browser.sign_in_there(browser.leave())
    asked = parse_qs(urlsplit(target).query)
    state, code = asked["state"][0], asked["code"][0]
    sent = {
        "state": f"?state={state}x&code={code}",
        "code": f"?state={state}&code={code}x",
        "none": "",
        "denied": f"?error=access_denied&error_description=%3Cscript%3E&state={state}",
        "odd": f"?error={'x' * 3000}%0d%0a&state={state}",
    }[change]
    answer = browser.come_back(f"/login/provider/back/{sent}")
    assert answer.status_code == 502 and NOT_SIGNED_IN in answer.content.decode()
    assert "script>" not in answer.content.decode().replace("</script>", "").replace("></script", "")[3000:]
    assert not is_in(browser.here) and not User.objects.exists()


def test_a_code_is_worth_nothing_in_another_browser_and_nothing_twice(there: Provider) -> None:
    victim, thief = Browser(), Browser()
    target = victim.sign_in_there(victim.leave())
    thief.leave()
    assert thief.come_back(target).status_code == 502 and not is_in(thief.here)
    assert victim.come_back(target).status_code == 302
    victim.here.post("/logout/")
    assert victim.come_back(target).status_code == 502 and not is_in(victim.here)


@pytest.mark.parametrize(
    "change",
    [
        {"client_secret": "another one"},
        {"issuer": "http://127.0.0.1:1/o"},
        {"issuer": "ISSUER/"},
        {"client_id": "nobody"},
    ],
    ids=str,
)
def test_a_provider_that_fails_is_a_sentence(
    there: Provider, settings: Any, change: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    filled = {name: value.replace("ISSUER", there.issuer) for name, value in change.items()}
    browser = Browser()
    target = browser.sign_in_there(browser.leave())
    settings.SIGN_ON = replace(settings.SIGN_ON, **filled)
    answers = [browser.come_back(target)]
    if "issuer" in change:
        answers.append(Browser().here.get("/login/provider/"))
    for answer in answers:
        page = answer.content.decode()
        assert answer.status_code == 502 and "The Provider did not sign you in" in page
        assert "another one" not in page
    assert "another one" not in caplog.text and there.secret not in caplog.text
    assert not User.objects.exists()


def test_the_provider_is_not_asked_as_often_as_somebody_likes(there: Provider) -> None:
    browser = Browser()
    for _ in range(20):
        browser.leave()
    answer = browser.here.get("/login/provider/")
    assert answer.status_code == 502 and "Wait some minutes" in answer.content.decode()
    assert browser.here.get("/login/provider/", REMOTE_ADDR="192.0.2.9").status_code == 302


def test_a_person_confirms_through_the_provider_which_asks_anew(there: Provider) -> None:
    there.people(ada=["root"])
    browser = Browser()
    browser.sign_in()
    grow_old(browser.here)
    answer = browser.here.post("/admin/auth/group/add/", GROUP)
    page = browser.here.get(answer["Location"]).content.decode()
    assert "Confirm with The Provider" in page and "Confirm by password" not in page
    place = browser.leave("/account/confirmation/provider/", next="/admin/")
    assert parse_qs(urlsplit(place).query)["prompt"] == ["login"]
    assert browser.come_back(browser.sign_in_there(place))["Location"] == "/admin/"
    browser.here.post("/admin/auth/group/add/", GROUP)
    assert Group.objects.filter(name="mine").exists()


@pytest.mark.parametrize("auth_time", [None, 1000, "now", True])
def test_a_confirmation_needs_a_sign_in_there_of_now(there: Provider, auth_time: Any) -> None:
    browser = Browser()
    browser.sign_in()
    grow_old(browser.here)
    old = browser.here.session[confirming.MOMENT]
    there.faults(auth_time=auth_time)
    answer = browser.come_back(browser.sign_in_there(browser.leave("/account/confirmation/provider/")))
    assert answer.status_code == 502
    assert "did not confirm that it is you" in answer.content.decode()
    assert browser.here.session[confirming.MOMENT] == old


def test_a_confirmation_by_somebody_else_there_is_none(there: Provider) -> None:
    browser = Browser()
    browser.sign_in()
    Browser().sign_in("grace")
    grow_old(browser.here)
    old = browser.here.session[confirming.MOMENT]
    place = browser.leave("/account/confirmation/provider/")
    answer = browser.come_back(browser.sign_in_there(place, "grace"))
    assert answer.status_code == 502 and "somebody else" in answer.content.decode()
    assert browser.here.session[confirming.MOMENT] == old
    assert User.objects.get(pk=browser.here.session["_auth_user_id"]).username == "ada"


def test_a_name_that_could_be_markup_or_is_odd_is_made_harmless(there: Provider) -> None:
    there.faults(preferred_username="<img src=x> ada\n" + "y" * 500)
    Browser().sign_in()
    name = User.objects.get().username
    assert name.startswith("-img-src-x-ada-y") and len(name) <= 150


@pytest.mark.parametrize("way", ["again", "out and in"])
def test_whom_the_provider_asked_nothing_has_confirmed_nothing(there: Provider, way: str) -> None:
    there.people(ada=["root"])
    browser = Browser()
    browser.sign_in()
    grow_old(browser.here)
    there.faults(auth_time=1000)
    if way == "out and in":
        browser.here.post("/logout/")
    browser.sign_in()
    answer = browser.here.post("/admin/auth/group/add/", GROUP)
    assert answer["Location"].startswith("/account/confirmation/")
    assert not Group.objects.filter(name="mine").exists()


def test_who_comes_over_somebody_else_says_how_they_came(there: Provider, people: dict[str, User]) -> None:
    browser = Browser()
    type_password(browser.here, "viewer")
    browser.sign_in("ada")
    browser.sign_in("ada")
    events = AuditEvent.objects.filter(act="sign_in", actor="ada")
    assert [event.details["by"] for event in events] == [["single sign-on"]] * 2


def test_a_code_is_asked_of_who_comes_over_somebody_else(there: Provider, people: dict[str, User]) -> None:
    first = Browser()
    first.sign_in()
    set_up(first.here)
    browser = Browser()
    type_password(browser.here, "viewer")
    assert browser.sign_in("ada")["Location"] == "/login/code/"
    assert browser.here.get("/login/code/").status_code == 200
    assert not is_in(browser.here)

"""The provider: `python -m tests.provider.site FOLDER PORT`. FOLDER/people.json says who is there and in
which groups, FOLDER/faults.json what it does wrong; both are read anew with each request."""

import json
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse

FOLDER, PORT = Path(sys.argv[1]), int(sys.argv[2])
ADDRESS = f"http://127.0.0.1:{PORT}"
CLIENT = "opsdash"


def read(name: str) -> Any:
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


settings.configure(
    SECRET_KEY="the provider of the tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="__main__",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "provider.sqlite3"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [Path(__file__).parent],
            "APP_DIRS": True,
        }
    ],
    # Beside opsdash on the same host: a cookie is sent to all its ports.
    SESSION_COOKIE_NAME="provider_session",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    LOGIN_URL="/login/",
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": f"{ADDRESS}/o",
        "OIDC_RSA_PRIVATE_KEY": (FOLDER / "key.pem").read_text(),
        "SCOPES": {"openid": "who", "profile": "name", "email": "address"},
        "PKCE_REQUIRED": True,
        "OAUTH2_VALIDATOR_CLASS": "tests.provider.claims.Claims",
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import get_application_model  # noqa: E402


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


def people_are_there() -> None:
    for name, told in read("people").items():
        user, _ = User.objects.get_or_create(username=name, defaults={"email": told.get("email", "")})
        user.set_password(told["password"])
        user.save()


urlpatterns = [
    path("ready/", ready),
    path("login/", LoginView.as_view(template_name="login.html")),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    people_are_there()
    get_application_model().objects.update_or_create(
        client_id=CLIENT,
        defaults={
            "client_secret": (FOLDER / "secret").read_text(),
            "client_type": "confidential",
            "authorization_grant_type": "authorization-code",
            "algorithm": "RS256",
            "redirect_uris": (FOLDER / "redirects").read_text(),
            "skip_authorization": True,
        },
    )
    call_command("runserver", f"127.0.0.1:{PORT}", use_reloader=False, skip_checks=True)

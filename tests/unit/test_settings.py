"""Settings are read strictly: a typo stops the boot with a sentence, in a real process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from dbops.conf import KNOBS
from opsdash.settings import NAMES


def boot(**changes: str | None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **changes}
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "check"],
        cwd=settings.BASE_DIR,
        env={name: value for name, value in env.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
    )


SIGN_ON = {
    "OPSDASH_OIDC_ISSUER": "https://sso.example.org",
    "OPSDASH_OIDC_CLIENT_ID": "opsdash",
    "OPSDASH_OIDC_CLIENT_SECRET": "hunter22",
    "OPSDASH_OIDC_VIEWERS": "all",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"OPSDASH_DEBUGG": "1"},
            "sets OPSDASH_DEBUGG, which opsdash does not know. Did you mean OPSDASH_DEBUG?",
        ),
        ({"OPSDASH_DEBUG": "perhaps"}, 'Environment variable "OPSDASH_DEBUG" invalid'),
        ({"OPSDASH_SECRET_KEY": None}, 'Environment variable "OPSDASH_SECRET_KEY" not set'),
        ({"OPSDASH_SECRET_KEY": "short"}, "OPSDASH_SECRET_KEY is shorter than 32 characters"),
        ({"OPSDASH_SEALING_KEYS": "nokey"}, "key 1 of OPSDASH_SEALING_KEYS is not a Fernet key"),
        ({"OPSDASH_LOCK_TIMEOUT_MS": "5s"}, 'Environment variable "OPSDASH_LOCK_TIMEOUT_MS" invalid'),
        ({"OPSDASH_HEARTBEAT_S": "0"}, "must be at least 1"),
        ({"DATABASE_URL": None}, 'Environment variable "DATABASE_URL" not set'),
        ({"DATABASE_URL": "sqlite:///x.db"}, "DATABASE_URL must name a PostgreSQL database"),
        ({"REDIS_URL": "localhost"}, "REDIS_URL must start with redis://"),
        (
            {"OPSDASH_OIDC_ISSUER": "https://sso.example.org"},
            "sets OPSDASH_OIDC_ISSUER, but not OPSDASH_OIDC_CLIENT_ID and OPSDASH_OIDC_CLIENT_SECRET",
        ),
        (
            {"OPSDASH_OIDC_VIEWERS": "all"},
            "sets OPSDASH_OIDC_VIEWERS, but not OPSDASH_OIDC_ISSUER and",
        ),
        ({**SIGN_ON, "OPSDASH_OIDC_ISSUER": "http://sso.example.org"}, "must begin with https://"),
        ({**SIGN_ON, "OPSDASH_OIDC_ISSUER": "http://127.0.0.1.example.org"}, "must begin with https://"),
        ({**SIGN_ON, "OPSDASH_OIDC_ISSUER": "sso.example.org"}, "must begin with https://"),
        ({**SIGN_ON, "OPSDASH_OIDC_VIEWERS": " , "}, "so nobody could see anything"),
        ({**SIGN_ON, "OPSDASH_OIDC_GROUPS": "shop"}, "'shop' is none"),
        ({**SIGN_ON, "OPSDASH_OIDC_GROUPS": "root=viewers"}, "'root=viewers' is none"),
        ({"OPSDASH_OIDC_CLIENTID": "x"}, "Did you mean OPSDASH_OIDC_CLIENT_ID?"),
        ({"OPSDASH_REQUIRE_SECOND_FACTOR": "staff"}, 'Environment variable "OPSDASH_REQUIRE_SECOND_FACTOR"'),
    ],
)
def test_a_mistake_in_the_environment_stops_the_boot_with_a_sentence(
    changes: dict[str, str | None], words: str
) -> None:
    result = boot(**changes)
    assert result.returncode == 1
    assert result.stderr.startswith("opsdash cannot start: "), result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "issuer", ["https://sso.example.org", "http://127.0.0.1:9000/o", "http://[::1]:9000"]
)
def test_single_sign_on_is_set_as_a_whole(issuer: str) -> None:
    result = boot(**{**SIGN_ON, "OPSDASH_OIDC_ISSUER": issuer, "OPSDASH_OIDC_GROUPS": "a=team a, b=c=team b"})
    assert result.returncode == 0, result.stderr


def test_a_secret_is_not_quoted_in_the_sentence() -> None:
    assert "hunter22" not in boot(**{**SIGN_ON, "OPSDASH_OIDC_VIEWERS": ""}).stderr
    assert "hunter22" not in boot(OPSDASH_SEALING_KEYS="hunter22").stderr
    assert "hunter22" not in boot(DATABASE_URL="mysql://root:hunter22@localhost/db").stderr


def test_check_deploy_is_clean_for_production_settings(tmp_path: object) -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "OPSDASH_SECURE": "1",
            "OPSDASH_DEBUG": "0",
            "OPSDASH_STATIC_ROOT": str(tmp_path),
            "OPSDASH_SECRET_KEY": "k9!" + "aB3$xYz7" * 8,
            "OPSDASH_ALLOWED_HOSTS": "ops.example.org",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


def test_check_deploy_is_clean_for_what_docker_compose_starts(tmp_path: Path) -> None:
    """The values that docker/new-env.sh makes, with https on, as docs/compose.md tells it for others."""
    (tmp_path / "docker").mkdir()
    for name in (".env.example", "docker/new-env.sh"):
        shutil.copy(settings.BASE_DIR / name, tmp_path / name)
    subprocess.run(["sh", "docker/new-env.sh"], cwd=tmp_path, check=True, capture_output=True)
    lines = (tmp_path / ".env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line.startswith("OPSDASH_"))
    result = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **values, "OPSDASH_SECURE": "1", "OPSDASH_STATIC_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


def test_every_knob_says_what_it_is() -> None:
    assert all(knob.unit and knob.meaning and knob.default >= knob.minimum for knob in KNOBS)


def test_every_knob_stands_in_the_example_environment() -> None:
    text = (settings.BASE_DIR / ".env.example").read_text()
    assert [knob.name for knob in KNOBS if f"OPSDASH_{knob.name}=" not in text] == []


def test_the_readme_lists_every_setting_with_its_default() -> None:
    text = (settings.BASE_DIR / "README.md").read_text()
    rows = [f"| OPSDASH_{knob.name} | {knob.default} {knob.unit} | {knob.meaning} |" for knob in KNOBS]
    assert [row for row in rows if row not in text] == []
    assert [name for name in sorted(NAMES) if f"| {name} |" not in text] == []

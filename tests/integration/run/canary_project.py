"""A project that tells its secrets wherever it can."""

from collections.abc import Mapping
from pathlib import Path

from tests.targets.builder import make_project

SETTINGS = """
import dj_database_url
SECRET_KEY = "{settings_dump}"
DATABASES = {{"default": dj_database_url.parse(os.environ["DATABASE_URL"])}}
DATABASES["default"].setdefault("OPTIONS", {{}})["sslpassword"] = os.environ["OPTION_SECRET"]
LOCAL = "django.core.cache.backends.locmem.LocMemCache"
CACHES = {{"default": {{"BACKEND": LOCAL, "LOCATION": os.environ["CACHE_URL"]}}}}
"""
# The names under which its environment has secrets.
PRINTS = """
import base64, html, json, sys, time, urllib.parse
from django.conf import settings
from django.db import connection
account = json.loads(os.environ["ACCOUNT"])
cache = os.environ["CACHE_URL"].split(":")[2].split("@")[0]
known = [os.environ["API_TOKEN"], os.environ["SMTP_PASSWORD"], cache,
         connection.settings_dict["PASSWORD"], os.environ["OPTION_SECRET"], account["private_key"]]
for value in known:
    data = value.encode()
    print("is", value, repr(value), json.dumps({{"x": value}}), html.escape(value))
    print("in a URL", urllib.parse.quote(value, safe=""))
    print("encoded", base64.b64encode(data).decode(), base64.b64encode(b"u:" + data).decode(),
          base64.urlsafe_b64encode(b"ab" + data).decode(), data.hex(), data.hex().upper())
    print("hidden", value[:9] + "\\x1b[1m" + value[9:], value[:7] + "\\u200b" + value[7:])
    print("spelled", " ".join(value), list(value))
    for letter in "in pieces " + value + "\\n":
        sys.stdout.write(letter)
        sys.stdout.flush()
        time.sleep(0.002)
    sys.stdout.write("over\\r" + value + "\\n" + value + "\\rover\\n")
    sys.stderr.write("x" * 40_000 + value + "y" * 40_000 + "\\n")
    for letter in value:
        print(letter)
print(dict(os.environ))
print("DATABASES =", settings.DATABASES, "SECRET_KEY =", repr(settings.SECRET_KEY))
print("{aws}", "token {github} and", "{own_token}")
print("-----BEGIN PRIVATE KEY-----\\n{private_key}\\n-----END PRIVATE KEY-----")
print("ordinary words 2e18efb7d5a9d7a1")
"""
RAISES = """
if os.path.exists("fail"):
    os.remove("fail")
    local = os.environ["API_TOKEN"]
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION '%%', 'server says {variable}'; END $$")
"""
SQL = (
    "migrations.RunSQL(\"INSERT INTO shop_item (n) SELECT 1 WHERE 'says {variable} {aws}' <> 'x' "
    '-- {dsn_password}", "SELECT \'{url}\'")'
)


def write_project(path: Path, values: Mapping[str, str]) -> Path:
    project = make_project(path)
    names = {name.replace(" ", "_"): value for name, value in values.items()}
    names["dsn_password"] = values["dsn"].replace("%", "%%")
    project.settings(SETTINGS.format(**names))
    project.migration(
        "0001_initial",
        'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True, serialize=False)), '
        f'("n", models.IntegerField(null=True, help_text="{values["variable"]}"))])',
        body=f'"""Of {values["variable"]}, {values["github"]}."""',
    )
    project.migration("0002_sql", SQL.format(**names))
    project.python("0003_prints", PRINTS.format(**names))
    project.python("0004_raises", RAISES.format(**names))
    project.write("fail", "")
    project.write(
        "shop/models.py",
        "from django.db import models\n\nclass Item(models.Model):\n"
        "    id = models.BigAutoField(primary_key=True)\n"
        f'    n = models.IntegerField(null=True, help_text="{values["env_file"]}", '
        f'default="{values["url"]}")\n',
    )
    return path

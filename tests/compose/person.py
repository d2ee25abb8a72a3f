"""A person with a browser, as far as HTTP goes: cookies, forms, and the stream of a job."""

import html
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar


class Person:
    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def page(self, path: str) -> str:
        with self._opener.open(self.url + path, timeout=30) as response:
            return str(response.read().decode())

    def send(self, path: str, **values: str) -> tuple[str, str]:
        """Fill in the form of the page at `path` and send it; (address, page) it leads to."""
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.page(path)))
        data = urllib.parse.urlencode({**hidden, **values}).encode()
        request = urllib.request.Request(self.url + path, data, {"Referer": self.url + path})
        with self._opener.open(request, timeout=30) as response:
            return urllib.parse.urlsplit(response.url).path, response.read().decode()

    def sign_in(self, name: str, password: str) -> None:
        path, page = self.send("/login/", username=name, password=password)
        assert path == "/", page

    def start_migrate(self, app: str = "") -> str:
        """The path of the job's page."""
        path, page = self.send(
            "/targets/shop/databases/default/migrate/", app=app, migration="", reason="smoke"
        )
        assert re.fullmatch(r"/jobs/\d+/", path), html.unescape(re.sub(r"<[^>]+>", " ", page))
        return path

    def follow(self, job: str, after: int = 0) -> Iterator[tuple[str, dict[str, object]]]:
        """(event, data) of the job's stream, until it ends or is cut."""
        with self._opener.open(f"{self.url}{job}stream/?after={after}", timeout=120) as response:
            name = ""
            for raw in response:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])

"""Why a database cannot be reached, typed.

psycopg 3 gives connection errors no SQLSTATE, only text, and the server's half of it is in the server's
language.
So: the texts that are known (English, German, French, Spanish), then the address itself (the TCP stage), else
"other" and the raw text.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

from . import sqlite

if TYPE_CHECKING:
    from typing import Any

TCP_TIMEOUT_S = 3.0

# The telling ones first: a driver that tried several addresses reports all of their errors in one text.
TEXTS = {
    "starting_up": (
        r"database system is (starting up|shutting down|in recovery mode|not yet accepting)",
        r"Datenbanksystem (startet|f.hrt)",
        r"syst.me de bases? de donn.es (se lance|d.marre|s'arr.te)",
        r"sistema de base de datos est. (inici|apag)",
    ),
    "too_many_clients": (
        r"too many (clients|connections)|remaining connection slots",
        r"zu viele (Clients|Verbindungen)|verbleibende[n]? Verbindungen",
        r"trop de (clients|connexions)",
        r"demasiad[ao]s (clientes|conexiones)",
    ),
    "no_such_database": (
        r"database .* does not exist|Unknown database",
        r"Datenbank .* existiert nicht",
        r"base de donn.es .* n'existe pas",
        r"no existe la base de datos",
    ),
    "auth": (
        r"authentication failed|no password supplied|Access denied for user|not permitted to log in",
        r"role .* does not exist|pg_hba\.conf",
        r"Authentifizierung|Rolle .* existiert nicht",
        r"authentification .*chou|r.le .* n'existe pas",
        r"autentificaci.n|no existe el rol",
    ),
    "permission": (
        r"permission denied|CONNECT privilege",
        r"keine Berechtigung",
        r"droit refus",
        r"permiso denegado",
    ),
    "tls": (r"\bSSL\b|\bTLS\b|certificate",),
    "timeout": (r"timeout expired|timed? ?out",),
    "refused": (
        r"Connection refused|Can't connect to|No such file or directory",
        r"closed the connection unexpectedly|Connection reset",
    ),
}


def reason(connection: Any, problem: BaseException) -> str:
    """A key of TEXTS, file_missing or other. (driver_missing is known before there is a connection.)"""
    if connection.vendor == "sqlite":
        return sqlite_reason(connection.settings_dict)
    for kind, patterns in TEXTS.items():
        if re.search("|".join(patterns), str(problem), re.IGNORECASE):
            return kind
    return tcp_reason(connection.settings_dict)


def sqlite_reason(settings: dict[str, Any]) -> str:
    """SQLite itself says "unable to open database file" for all of them."""
    real = sqlite.path(settings["NAME"])
    if not os.path.exists(os.path.dirname(real)):
        return "file_missing"
    return "other" if os.access(real, os.R_OK) else "permission"


def tcp_reason(settings: dict[str, Any]) -> str:
    """A text in another language: is anybody there at all?"""
    host, port = str(settings.get("HOST") or "localhost"), str(settings.get("PORT") or 5432)
    if host.startswith("/") or not port.isdecimal():
        return "other"
    try:
        socket.create_connection((host, int(port)), TCP_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return "refused"
    except socket.timeout:
        return "timeout"
    except (OSError, ValueError):
        return "other"
    return "other"

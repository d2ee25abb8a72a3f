"""Why a database cannot be reached, typed.

psycopg 3 gives connection errors no SQLSTATE, only text, and the server's half of it is in the server's language. So: the texts
that are known (English, German, French, Spanish), then the address itself (the TCP stage), else "other" and the raw text.
"""

import os
import re
import socket

TCP_TIMEOUT_S = 3.0

TEXTS = [
    ("tls", r"SSL|TLS|certificate|Zertifikat|certificat"),
    (
        "auth",
        r"password authentication failed|Passwort-Authentifizierung|authentification par mot de passe|"
        r"la autentificaci.n password fall|no password supplied|no pg_hba\.conf entry|pg_hba\.conf|"
        r"authentication failed|Ident authentication|Peer authentication|role .* does not exist|Access denied for user|"
        r"Rolle .* existiert nicht|is not permitted to log in",
    ),
    (
        "starting_up",
        r"the database system is (starting up|shutting down|in recovery mode|not yet accepting)|"
        r"Datenbanksystem startet|Datenbanksystem f.hrt|syst.me de bases? de donn.es (d.marre|se lance)|"
        r"sistema de base de datos est. inici",
    ),
    (
        "too_many_clients",
        r"too many (clients|connections)|remaining connection slots|zu viele (Clients|Verbindungen)|"
        r"trop de (clients|connexions)|demasiad[ao]s (clientes|conexiones)",
    ),
    (
        "no_such_database",
        r"database .* does not exist|Unknown database|Datenbank .* existiert nicht|"
        r"la base de donn.es .* n'existe pas|no existe la base de datos",
    ),
    (
        "permission",
        r"permission denied for database|User does not have CONNECT privilege|keine Berechtigung f.r Datenbank",
    ),
    ("timeout", r"timeout expired|timed? ?out|Zeit.berschreitung"),
    (
        "refused",
        r"Connection refused|Verbindungsaufbau abgelehnt|Connexion refus|conexi.n rehusada|Can't connect to|"
        r"No such file or directory|server closed the connection|Connection reset",
    ),
]


def reason(connection, problem):
    """One of refused, timeout, auth, no_such_database, starting_up, too_many_clients, tls, driver_missing, file_missing,
    permission, other."""
    if connection.vendor == "sqlite":
        return sqlite_reason(connection)
    text = str(problem)
    for kind, pattern in TEXTS:
        if re.search(pattern, text, 0 if kind == "tls" else re.IGNORECASE):
            return kind
    return tcp_reason(connection.settings_dict)


def sqlite_reason(connection):
    """`sqlite3` says "unable to open database file" for all of them."""
    name = os.fspath(connection.settings_dict["NAME"])
    if not os.path.isdir(os.path.dirname(os.path.abspath(name))):
        return "file_missing"
    return "other" if os.access(name, os.R_OK) else "permission"


def tcp_reason(settings):
    """A text in another language: is anybody there at all?"""
    host, port = settings.get("HOST") or "localhost", settings.get("PORT") or 5432
    if str(host).startswith("/"):
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

"""Why the agent cannot enter a target's directory."""

import os

from dbops.agent.supervisor import why


def test_who_may_not_enter_is_named() -> None:
    assert why(PermissionError(13, "Permission denied")) == (
        f"the user that its Python runs as (uid {os.getuid()}) may not"
    )


def test_what_is_not_there_is_said_in_the_system_s_words() -> None:
    assert why(FileNotFoundError(2, "No such file or directory")) == "No such file or directory"
    assert why(ValueError("embedded null byte")) == "embedded null byte"

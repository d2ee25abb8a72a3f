"""What a view says about itself."""

from collections.abc import Callable
from typing import Any


def without_second_factor(view: Callable[..., Any]) -> Callable[..., Any]:
    """Whoever must have a second factor and has none yet may use this one to get it."""
    view.without_second_factor = True  # type: ignore[attr-defined]
    return view

"""Code in a page: highlighted on the server, whatever it says."""

from collections.abc import Iterable

from django import template

from dbops.lint import Recipe
from dbops.pages import sql as shown

register = template.Library()


@register.filter
def sql(statements: str | Iterable[str]) -> str:
    """{{ operation.sql|sql }}, within <pre class="code">."""
    return shown.sql(statements).html


@register.filter
def python(source: str) -> str:
    return shown.python(source).html


@register.filter
def recipe_code(recipe: Recipe) -> str:
    return python(recipe.code) if recipe.language == "python" else sql(recipe.code)

"""The OpenAPI document, made from the code: operations, shapes, and with which problems each may answer."""

from typing import Any

from ninja import NinjaAPI

from dbops.api import problems
from dbops.api.doors import DOORS
from dbops.api.problems import MEDIA_TYPE, Kind
from dbops.api.schemas import InvalidDocument, ProblemDocument

PATH = "/api/v1/"
REF = "#/components/schemas/{model}"
OF_ALL = (
    problems.BAD_REQUEST, problems.NO_TOKEN, problems.OUT_OF_SCOPE, problems.NOT_FOUND, problems.METHOD,
    problems.NO_LENGTH, problems.TOO_LARGE, problems.INVALID, problems.TOO_MANY, problems.FAILED,
    problems.AWAY,
)  # fmt: skip
OF_POSTS = (problems.CONFLICT, problems.MEDIA)


def document(api: NinjaAPI) -> dict[str, Any]:
    made: dict[str, Any] = dict(api.get_openapi_schema(path_prefix=PATH))
    for model in (ProblemDocument, InvalidDocument):
        schema = model.model_json_schema(ref_template=REF)
        made["components"]["schemas"].update(schema.pop("$defs", {}))
        made["components"]["schemas"][model.__name__] = schema
    made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for operations in made["paths"].values():
        for method, operation in operations.items():
            _say_door(operation)
            _add_problems(operation, OF_ALL if method == "get" else (*OF_ALL, *OF_POSTS))
    return made


def _say_door(operation: dict[str, Any]) -> None:
    """Its name is the class of the door."""
    (name,) = operation["security"][0]
    door = DOORS[name]
    operation["security"] = [{"token": [str(door.scope)]}]
    operation["description"] += f"\n\nScope `{door.scope}`; role {door.role.word}."


def _add_problems(operation: dict[str, Any], kinds: tuple[Kind, ...]) -> None:
    for kind in kinds:
        operation["responses"].setdefault(str(int(kind.status)), _response(kind))


def _response(kind: Kind) -> dict[str, Any]:
    model = InvalidDocument if kind is problems.INVALID else ProblemDocument
    schema = {"$ref": REF.format(model=model.__name__)}
    return {"description": kind.title, "content": {MEDIA_TYPE: {"schema": schema}}}

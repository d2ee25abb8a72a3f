"""One file an act. REGISTRY names them all; nothing registers itself."""

from dbops.operations.base import Operation
from dbops.operations.drop_index import DropIndex
from dbops.operations.makemigrations import MakeMigrations
from dbops.operations.migrate import Migrate
from dbops.operations.record import Record

OPERATIONS: tuple[Operation, ...] = (Migrate(), Record(), DropIndex(), MakeMigrations())
REGISTRY: dict[str, Operation] = {operation.name: operation for operation in OPERATIONS}

__all__ = ["REGISTRY", "Operation"]

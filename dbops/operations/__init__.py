"""One file an act. REGISTRY names them all; nothing registers itself."""

from dbops.operations.base import Operation
from dbops.operations.migrate import Migrate

REGISTRY: dict[str, Operation] = {operation.name: operation for operation in (Migrate(),)}

__all__ = ["REGISTRY", "Operation"]

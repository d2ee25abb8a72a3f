from dbops.models.audit import AuditEvent
from dbops.models.ending import SessionEnding
from dbops.models.grant import Grant
from dbops.models.inspection import Inspection
from dbops.models.job import Job
from dbops.models.plan import Plan
from dbops.models.probe import Probe
from dbops.models.signin import Counter, Identity, SignIn
from dbops.models.snapshot import Snapshot
from dbops.models.source import MigrationSource, SeenMigration
from dbops.models.step import Step
from dbops.models.target import Target, TargetDatabase, TargetVariable
from dbops.models.token import ApiToken
from dbops.models.transcript import TranscriptChunk
from dbops.models.worker import Worker

__all__ = [
    "ApiToken",
    "AuditEvent",
    "Counter",
    "Grant",
    "Identity",
    "Inspection",
    "Job",
    "MigrationSource",
    "Plan",
    "Probe",
    "SeenMigration",
    "SessionEnding",
    "SignIn",
    "Snapshot",
    "Step",
    "Target",
    "TargetDatabase",
    "TargetVariable",
    "TranscriptChunk",
    "Worker",
]

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, register_converter

from dbops.views import (
    again,
    audit,
    compare,
    graph,
    jobs,
    makemigrations,
    overview,
    plans,
    remedies,
    resolution,
    sessions,
    streams,
    targets,
    workers,
)  # fmt: skip
from dbops.views.converters import AliasConverter, TargetNameConverter

register_converter(TargetNameConverter, "target")
register_converter(AliasConverter, "alias")

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("targets/<target:name>/", targets.target, name="target"),
    path("targets/<target:name>/inspections/", targets.inspections, name="inspections"),
    path("targets/<target:name>/databases/<alias:alias>/migrate/", targets.migrate, name="migrate"),
    path(
        "targets/<target:name>/databases/<alias:alias>/migrations/<alias:app>/<alias:migration>/",
        targets.migration,
        name="migration",
    ),
    path("targets/<target:name>/databases/<alias:alias>/graph/", graph.graph, name="graph"),
    path("targets/<target:name>/databases/<alias:alias>/plan/", plans.newest_plan, name="newest_plan"),
    path("targets/<target:name>/databases/<alias:alias>/plans/", plans.plans, name="plans"),
    path("targets/<target:name>/databases/<alias:alias>/plans/<int:plan_id>/", plans.plan, name="plan"),
    path("targets/<target:name>/makemigrations/", makemigrations.makemigrations, name="makemigrations"),
    path("targets/<target:name>/merge/", makemigrations.merge, name="merge"),
    path("compare/", compare.compare, name="compare"),
    path("compare/snapshots/", compare.snapshots, name="snapshots"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/<int:job_id>/", jobs.job, name="job"),
    path("jobs/<int:job_id>/again/", again.again, name="again"),
    path("jobs/<int:job_id>/waiting/", jobs.waiting, name="waiting"),
    path("jobs/<int:job_id>/cancellation/", jobs.cancellation, name="cancellation"),
    path("jobs/<int:job_id>/resolution/", resolution.resolution, name="resolution"),
    path(
        "jobs/<int:job_id>/sessions/<int:pid>/cancellation/",
        sessions.session_cancellation,
        name="session_cancellation",
    ),
    path(
        "jobs/<int:job_id>/sessions/<int:pid>/termination/",
        sessions.session_termination,
        name="session_termination",
    ),
    path("jobs/<int:job_id>/record/", remedies.record, name="record"),
    path("jobs/<int:job_id>/invalid-index/", remedies.invalid_index, name="invalid_index"),
    path("jobs/<int:job_id>/lines/", jobs.lines, name="lines"),
    path("jobs/<int:job_id>/search/", jobs.search, name="search"),
    path("jobs/<int:job_id>/transcript.txt", jobs.transcript, name="transcript"),
    path("jobs/<int:job_id>/stream/", streams.job_stream, name="job_stream"),
    path("audit/", audit.audit, name="audit"),
    path("audit/<int:event_id>/", audit.audit_event, name="audit_event"),
    path("audit/export/", audit.audit_export_file, name="audit_export"),
    path("workers/", workers.workers, name="workers"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from dbops.views import health, jobs, overview, streams, targets

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("targets/<str:name>/", targets.target, name="target"),
    path("targets/<str:name>/inspections/", targets.inspections, name="inspections"),
    path("targets/<str:name>/databases/<str:alias>/migrate/", targets.migrate, name="migrate"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/<int:job_id>/", jobs.job, name="job"),
    path("jobs/<int:job_id>/cancellation/", jobs.cancellation, name="cancellation"),
    path("jobs/<int:job_id>/transcript.txt", jobs.transcript, name="transcript"),
    path("jobs/<int:job_id>/stream/", streams.job_stream, name="job_stream"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("livez", health.livez, name="livez"),
]

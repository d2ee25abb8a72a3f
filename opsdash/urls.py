from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from dbops.views import signing

urlpatterns = [
    # The admin's own would know neither limits nor second factors.
    path("admin/login/", signing.admin_sign_in),
    path("admin/logout/", signing.sign_out),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("admin/", admin.site.urls),
    path("", include("dbops.urls")),
]

handler500 = "dbops.views.errors.failed"

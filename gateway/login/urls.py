from django.urls import path

from gateway.login import sso_views, views

app_name = "login"
urlpatterns = [
    path("second-factor/", views.verify, name="second_factor"),
    path("second-factor/enrol/", views.enrol, name="enrol"),
    path("sso/", sso_views.begin, name="sso"),
    path("sso/callback/", sso_views.callback, name="sso_callback"),
]

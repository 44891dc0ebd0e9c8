"""Which view answers which path. (/healthz is answered before, in views.health_check.)"""

from django.urls import path

from .views import hello

urlpatterns = [path("", hello)]

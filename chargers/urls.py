from django.urls import path

from chargers import webhooks

urlpatterns = [path("webhooks/edrv/", webhooks.receive, name="edrv-webhooks")]

import os

from django.core.wsgi import get_wsgi_application

from gateway.shedding import Shedding

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

application = Shedding(get_wsgi_application())

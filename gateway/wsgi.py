import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

django = get_wsgi_application()

# They need the models, which are there only now.
from gateway import warmth  # noqa: E402
from gateway.webhook_door import Shedding  # noqa: E402

application = Shedding(django)

warmth.load_urls()
warmth.spare_what_stays()

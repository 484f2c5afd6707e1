from django.apps import AppConfig


class DrEventsConfig(AppConfig):
    name = "dr_events"
    verbose_name = "Demand response"

    def ready(self) -> None:
        from chargers import news
        from dr_events import tasks

        news.arrived.connect(tasks.on_news, dispatch_uid="dr_events")

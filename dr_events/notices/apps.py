from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "dr_events.notices"
    label = "notices"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from dr_events.notices import tasks, telling

        telling.written.connect(tasks.on_written, dispatch_uid="notices")

from django.apps import AppConfig


class LoginConfig(AppConfig):
    name = "gateway.login"
    label = "login"
    verbose_name = "Log-in"

    def ready(self) -> None:
        from gateway.login import journal

        journal.listen()

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Access"

    def ready(self) -> None:
        from gateway import database_role, roles

        # The last of INSTALLED_APPS: by now every table and every permission is there.
        post_migrate.connect(roles.assign, sender=self, dispatch_uid="gateway.roles")
        post_migrate.connect(database_role.grant, sender=self, dispatch_uid="gateway.database_role")

#!/usr/bin/env python
"""Entry point of every command: `manage.py up`, `demo`, `sync_chargers`, `declare_event`, …"""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    from gateway.embedded import EmbeddedServerFailed
    from gateway.environment import BadVariable

    try:
        # What is wrong with the settings is found here.
        from gateway.command_database import database_for_command

        with database_for_command(sys.argv):
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    except (BadVariable, EmbeddedServerFailed) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

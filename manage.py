#!/usr/bin/env python
"""Entry point of every command: `manage.py up`, `demo`, `sync_chargers`, `declare_event`, …"""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    from gateway.embedded import EmbeddedServerFailed, database_for_command
    from gateway.environment import BadVariable

    try:
        with database_for_command(sys.argv):
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    except (BadVariable, EmbeddedServerFailed) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

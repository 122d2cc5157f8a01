#!/usr/bin/env python
"""Django's command-line entry point."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "inspection.config.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as error:  # SQLite's word and PostgreSQL's for one thing
        if "no such table" not in str(error) and "does not exist" not in str(error):
            raise
        sys.exit(
            f"{error}\nThe database has no tables yet, or older ones: python manage.py migrate makes them."
        )


if __name__ == "__main__":
    main()

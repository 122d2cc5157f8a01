from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from annotation.models import User
from annotation.services.access import once_login_path


class Command(BaseCommand):
    help = "Prints a link that logs a person in once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?", default="admin")

    def handle(self, *args, username: str, **options) -> None:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active account “{username}”.")
        self.stdout.write(f"http://{settings.HOST}:{settings.PORT}{once_login_path(user)}")

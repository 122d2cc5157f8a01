import logging
import threading

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from inspection.models import Line
from inspection.supervision import Control, reload_lines, write_line_configurations

LOOK_EVERY_S = 2.0
logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Has the supervisor run one process per line, also for lines that are made while it runs."
    requires_system_checks = ()

    def handle(self, *args, **options) -> None:
        followed: set[str] | None = None
        pause = threading.Event()
        while True:
            close_old_connections()
            slugs = set(Line.objects.values_list("slug", flat=True))
            if slugs != followed:
                write_line_configurations(sorted(slugs), root=settings.BASE_DIR, var=settings.VAR_DIR)
                added, removed = reload_lines(Control.of_settings())
                logger.info("lines that came: %s; that went: %s", added, removed)
                followed = slugs
            pause.wait(LOOK_EVERY_S)

import signal
from argparse import ArgumentParser
from queue import SimpleQueue

from django.core.management.base import BaseCommand, CommandError

from annotation.errors import DomainError
from inspection.edge.process import LineRunsAlready, Order, run_line
from inspection.line.config import ConfigError
from inspection.line.journal import JournalError
from inspection.models import Line


class Command(BaseCommand):
    help = "Runs one production line: images in, one verdict a part, journal, PLC."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("line", help="The line's short name, as in its address.")

    def handle(self, *args, line: str, **options) -> None:
        orders: SimpleQueue[Order] = SimpleQueue()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: orders.put(Order.STOP))
        try:
            run_line(orders, line, on_ready=lambda: self.stdout.write(f"The line {line} runs."))
        except Line.DoesNotExist as error:
            raise CommandError(f"There is no line “{line}”. {_known_lines()}") from error
        except (DomainError, ConfigError, JournalError, LineRunsAlready) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"The line {line} has stopped.")


def _known_lines() -> str:
    names = list(Line.objects.values_list("slug", flat=True))
    return f"There are: {', '.join(names)}." if names else "There is no line yet; make one on the Lines page."

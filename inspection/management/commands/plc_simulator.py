from argparse import ArgumentParser, Namespace

from django.core.management.base import BaseCommand, CommandError

from inspection.plc import simulator


class Command(BaseCommand):
    help = "A PLC with a conveyor and a reject gate, on Modbus TCP, for demonstrations and tests."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        simulator.add_arguments(parser)

    def handle(self, *args, **options) -> None:
        try:
            summary = simulator.run_simulator(simulator.config_from_options(Namespace(**options)))
        except (ValueError, RuntimeError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{summary['entered']} parts entered, {summary['passed']} passed, {summary['rejected']} rejected"
        )

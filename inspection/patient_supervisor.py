"""The supervisor library's own process, but for one thing: the pause before a restart stops growing.

The library waits a second longer at each try; a program whose database was away over night would come back
hours after it. Run as `python -m inspection.patient_supervisor`; imports no Django.
"""

import time

from supervisor import process, supervisord
from supervisor.states import ProcessStates

LONGEST_PAUSE_S = 30


class PatientProcess(process.Subprocess):
    """One supervised program: it ended too soon, is started again, and the console says when."""

    def change_state(self, new_state: int, expected: bool = True) -> None:
        super().change_state(new_state, expected)
        if new_state != ProcessStates.BACKOFF:
            return
        pause_s = min(self.backoff, LONGEST_PAUSE_S)
        self.delay = time.time() + pause_s
        tell = self.config.options.logger.warn  # the library's own logger, that of the console
        tell(
            f"{self.config.name} ended too soon after its start; try {self.backoff + 1} is in {pause_s} s "
            f"(log: {self.config.stdout_logfile})"
        )


if __name__ == "__main__":
    # The library makes its programs' processes by this name.
    process.Subprocess = PatientProcess
    supervisord.main()

import subprocess
import sys

import pytest

from inspection.plc.control import SimulatorControl
from inspection.plc.simulator import main

from .bench import ROOT, SimulatorProcess


def test_a_busy_port_is_told_as_such(tmp_path, capsys):
    with SimulatorProcess(tmp_path / "log") as first:
        assert main(["--port", str(first.port)]) == 1
    assert "listen" in capsys.readouterr().err


def test_settings_that_make_no_conveyor_are_refused(capsys):
    assert main(["--gate", "0"]) == 1
    assert "gate" in capsys.readouterr().err


def test_an_unknown_command_is_refused_and_the_simulator_goes_on(tmp_path):
    with SimulatorProcess(tmp_path / "log") as simulator:
        with pytest.raises(ConnectionError, match="unknown command"):
            simulator.control.do("dance")
        assert simulator.control.do("state")["entered"] == 0


def test_the_stop_command_ends_it_with_a_summary_in_the_log(tmp_path):
    with SimulatorProcess(tmp_path / "log") as simulator:
        simulator.control.do("stop")
        simulator.wait()
        assert simulator.process.returncode == 0
        assert simulator.events("stopped")[0]["entered"] == 0


def test_control_without_a_connection_says_so():
    with pytest.raises(ConnectionError, match="with"):
        SimulatorControl(1).do("state")


def test_these_rooms_import_no_django():
    code = "import sys, inspection.plc.simulator, inspection.line.runtime; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

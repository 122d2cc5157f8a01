import configparser
import socket
import subprocess
import time
from pathlib import Path

import pytest
from django.conf import settings
from supervisor import loggers
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

from inspection import supervision
from inspection.patient_supervisor import PatientProcess


def read_by_the_supervisor(text: str, folder: Path) -> ServerOptions:
    path = folder / "supervisord.conf"
    path.write_text(text)
    options = ServerOptions()
    options.realize(["-n", "-c", str(path)])
    return options


@pytest.fixture
def control(tmp_path):
    return supervision.Control(tmp_path / "supervisor.sock", password="secret")


def test_the_supervisor_understands_every_program(tmp_path, control):
    programs = [
        supervision.redis_program(tmp_path / "redis.sock", tmp_path),
        supervision.web_program("127.0.0.1", 8000),
        supervision.worker_program("cpu"),
        supervision.worker_program("io", is_beating=True),
        supervision.simulator_program(tmp_path, port=5020, period_ms=1000, log=tmp_path / "gate.jsonl"),
        supervision.once_program(tmp_path, "demo", "demo"),
    ]
    text = supervision.supervisor_configuration(programs, root=tmp_path, var=tmp_path, control=control)
    options = read_by_the_supervisor(text, tmp_path)
    names = {group.name for group in options.process_group_configs}
    assert names == {"redis", "web", "worker-cpu", "worker-io", "plc-simulator", "demo"}


def test_trainings_that_run_at_once_share_the_cores(monkeypatch):
    monkeypatch.setattr(supervision.os, "cpu_count", lambda: 6)
    alone = supervision.worker_program("cpu").command
    assert alone[alone.index("--concurrency") + 1] == "1"
    assert not any(word.startswith("OMP_NUM_THREADS") for word in alone)
    four = supervision.worker_program("cpu", at_once=4).command
    assert four[four.index("--concurrency") + 1] == "4"
    assert "OMP_NUM_THREADS=1" in four


def test_a_training_yields_to_imports_and_both_to_the_line_and_the_web(tmp_path):
    def nice(program: supervision.Program) -> int:
        words = program.command
        return int(words[words.index("nice") + 2]) if "nice" in words else 0

    training, imports = supervision.worker_program("cpu"), supervision.worker_program("io")
    line, web = supervision.line_program(tmp_path, "demo"), supervision.web_program("127.0.0.1", 8000)
    assert nice(training) > nice(imports) > nice(line) == nice(web) == 0
    assert all("OMP_WAIT_POLICY=PASSIVE" in program.command for program in (training, imports, line))


def test_a_path_with_blanks_and_percent_signs_stays_one_word(tmp_path, control):
    root = tmp_path / "100% my plant"
    root.mkdir()
    text = supervision.supervisor_configuration(
        [supervision.once_program(root, "demo", "demo")], root=tmp_path, var=tmp_path, control=control
    )
    options = read_by_the_supervisor(text, tmp_path)
    command = options.process_group_configs[0].process_configs[0].command
    assert f'"{root / "manage.py"}"' in command


def test_the_lines_files_are_found_in_a_folder_with_blanks_and_percent_signs(tmp_path, control):
    var = tmp_path / "100% my plant"
    var.mkdir()
    supervision.write_line_configurations(["a"], root=tmp_path, var=var)
    text = supervision.supervisor_configuration([], root=var, var=var, control=control)
    options = read_by_the_supervisor(text, var)
    assert [group.name for group in options.process_group_configs] == ["line-a"]
    assert options.directory == str(var)


def test_a_line_that_went_loses_its_file(tmp_path):
    supervision.write_line_configurations(["a", "b"], root=tmp_path, var=tmp_path)
    supervision.write_line_configurations(["b"], root=tmp_path, var=tmp_path)
    files = sorted((tmp_path / supervision.LINES_FOLDER).iterdir())
    assert [file.name for file in files] == ["b.conf"]
    config = configparser.RawConfigParser()
    config.read(files[0])
    assert config["program:line-b"]["command"].endswith("run_line b")


def test_a_busy_port_is_known_and_the_next_free_one_found():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not supervision.is_port_free("127.0.0.1", port)
        assert supervision.free_port("127.0.0.1", port) > port


def test_the_pause_before_a_restart_ends_growing(tmp_path, control):
    program = supervision.Program(name="poor", command=("false",))
    text = supervision.supervisor_configuration([program], root=tmp_path, var=tmp_path, control=control)
    options = read_by_the_supervisor(text, tmp_path)
    options.logger = loggers.getLogger()
    process = PatientProcess(options.process_group_configs[0].process_configs[0])
    pauses = []
    for _ in range(100):
        process.change_state(ProcessStates.STARTING)
        process.change_state(ProcessStates.BACKOFF)
        pauses.append(process.delay - time.time())
    assert pauses[:3] == pytest.approx([1, 2, 3], abs=0.5)
    assert pauses[-1] == pytest.approx(30, abs=0.5)
    assert process.backoff < process.config.startretries


def test_the_console_says_when_a_program_that_ended_too_soon_is_started_again(tmp_path, control):
    program = supervision.Program(name="poor", command=("false",))
    path = tmp_path / "supervisord.conf"
    path.write_text(
        supervision.supervisor_configuration([program], root=tmp_path, var=tmp_path, control=control)
    )
    command = supervision.supervisor_command(path)
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True) as running:
        said = next(line for line in running.stdout if "too soon" in line)
        running.terminate()
        running.communicate(timeout=20)
    assert "poor ended too soon after its start; try 2 is in 1 s" in said
    assert str(tmp_path / "log" / "poor.log") in said

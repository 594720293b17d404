"""Does the doctor find what is there, report what is not, leave the process as it was, and never fail itself?"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.diagnostics import Diagnosis, Finding
from hftlab.diagnostics.probes import PACKAGES, PROCESSOR, PROGRAMS, RIGHTS, SYSTEM, UNKNOWN, Probe, probes
from hftlab.errors import HftlabError
from hftlab.measurement import affinity, system
from hftlab.measurement.machine import fingerprint

AREAS = ["engines", "processor", "system", "network", "clocks", "rights", "tools"]
TOPICS = {
    "engine python", "engine rust", "python", "clocksource", "clock of python", *PROGRAMS, *PACKAGES,
    *(probe.topic for probe in (*PROCESSOR, *SYSTEM, *RIGHTS)),
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    return hftlab.doctor()


def findings(table: tuple[Probe, ...], machine: dict[str, Any]) -> dict[str, Finding]:
    return {probe.topic: probe.finding(machine) for probe in table}


def test_every_topic_has_a_state_and_a_reason(found: Diagnosis) -> None:
    topics = [finding.topic for finding in found]
    assert set(topics) >= TOPICS | {"noise floor"}
    assert len(set(topics)) == len(topics)
    for finding in found:
        assert finding.state, finding
        assert finding.why, finding
        assert finding.good is not False or finding.improve, finding
    assert list(dict.fromkeys(finding.area for finding in found)) == AREAS


def test_the_noise_floor_is_measured_unless_in_a_hurry(found: Diagnosis) -> None:
    assert "of the time lost" in found["noise floor"].state
    with pytest.raises(KeyError):
        hftlab.doctor(quick=True)["noise floor"]


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no scheduling policies")
def test_the_process_is_as_it_was() -> None:
    def state() -> tuple[Any, ...]:
        return os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority

    before = state()
    hftlab.doctor(quick=True)
    assert state() == before
    assert affinity.in_force() is None


def test_the_command_prints_the_documented_json_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--quick"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert set(stored) == {"schema", "hftlab", "machine", "findings"}
    assert stored["machine"]["cpu"] == fingerprint()["cpu"]
    assert json.loads(Diagnosis.from_dict(stored).to_json()) == stored
    assert set(stored["findings"][0]) == {"topic", "state", "good", "why", "improve", "area"}
    assert main(["doctor", "--quick"]) == 0
    assert "engine python" in capsys.readouterr().out
    for broken in ({**stored, "schema": "hftlab-doctor/1"}, {**stored, "findings": [{"topic": "cpu"}]}):
        with pytest.raises(HftlabError, match=r"schema must be|missing required field"):
            Diagnosis.from_dict(broken)


def test_a_diagnosis_is_a_frame_a_table_and_advice(found: Diagnosis) -> None:
    frame = found.frame()
    assert frame.columns == ["area", "topic", "state", "good", "why", "improve"]
    assert frame.height == len(found.findings)
    (table,) = replace(found, findings=(Finding("tools", "a<b", "x & y", False, "why", "do <this>"),)).tables()
    assert table.rows == (("tools", "--", "a<b", "x & y", "why -> do <this>"),)
    assert table.grouped
    assert replace(found, findings=(Finding("tools", "a", "b", False, "why", "do it"),)).advice() == ["a: b; do it"]


def test_a_bad_machine_gets_advice_and_a_good_one_none() -> None:
    bad = {
        **fingerprint(),
        "governor": "powersave", "frequency_driver": "acpi", "min_mhz": 800.0, "max_mhz": 4000.0, "boost": "on",
        "threads_per_core": 2, "isolated": "none", "nohz_full": "none", "hypervisor": "KVM", "steal_s": 9.0, "steal_share": 0.1,
        "affinity": [0], "cpu_quota": 0.5, "load_1min": 8.0, "transparent_hugepages": "never", "idle_driver": "acpi_idle",
    }  # fmt: skip
    lines = findings((*PROCESSOR, *SYSTEM), bad)
    wrong = {topic for topic, finding in lines.items() if finding.good is False}
    assert wrong == set(lines) - {"cpu", "idle states", "reserved huge pages"}
    assert "800 to 4,000 MHz" in lines["frequency policy"].state
    assert all(lines[topic].improve for topic in (*wrong, "idle states"))
    good = {
        **bad,
        "governor": "performance", "boost": "off", "threads_per_core": 1, "isolated": "3", "nohz_full": "3", "hypervisor": "",
        "steal_share": 0.0, "affinity": [0, 1], "cpu_quota": None, "load_1min": 0.0, "transparent_hugepages": "madvise",
    }  # fmt: skip
    assert not [line for line in findings((*PROCESSOR, *SYSTEM), good).values() if line.good is False]


def test_a_refused_placement_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("sched_setscheduler", "sched_setaffinity"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    lines = findings(RIGHTS, fingerprint())
    assert (lines["core pinning"].good, lines["real-time scheduling"].good) == (False, False)
    assert "not permitted" in lines["real-time scheduling"].state


@pytest.mark.parametrize(("device", "level", "good"), [("cpu", 2, True), ("cpu_core", 3, False), ("software", 1, False)])
def test_hardware_counters_need_a_device_and_the_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, level: int, good: bool
) -> None:
    machine = fingerprint()
    (tmp_path / "sys/bus/event_source/devices" / device).mkdir(parents=True)
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/perf_event_paranoid").write_text(f"{level}\n")
    monkeypatch.setattr(system, "ROOT", tmp_path)
    finding = findings(RIGHTS, machine)["hardware counters"]
    assert finding.good is good
    assert finding.state.endswith(f"perf_event_paranoid {level}")
    assert finding.state.startswith("not supported here") is (device == "software")
    assert bool(finding.improve) is not good


def test_without_the_network_package_its_probes_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "network" in {probe.area for probe in probes(quick=True)}
    monkeypatch.setitem(sys.modules, "hftlab.net", None)
    assert [area for area in AREAS if area not in {probe.area for probe in probes(quick=True)}] == ["network"]


BLIND = """
import importlib.metadata, sys
for name in ("altair", "vl_convert", "jupyterlab", "line_profiler", "memray", "hftlab_rust"):
    sys.modules[name] = None
importlib.metadata.distributions = lambda **_: []
from pathlib import Path
from hftlab.measurement import system
system.ROOT = Path(sys.argv[1])
from hftlab.cli.main import main
sys.exit(main(["doctor", "--json"]))
"""


def test_with_nothing_there_it_still_reports(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HFTLAB_REQUIRE_RUST"} | {"PATH": ""}
    command = [sys.executable, "-c", BLIND, str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {finding["topic"]: finding for finding in json.loads(done.stdout)["findings"]}
    for name in ("cargo", "valgrind", "strace", "chromium", "altair", "memray"):
        assert (lines[name]["state"], lines[name]["good"]) == ("missing", False)
    assert lines["engine rust"]["good"] is False
    for name in ("frequency policy", "boost", "SMT", "steal time", "clocksource", "ptrace"):
        assert lines[name]["state"] == UNKNOWN, name
    assert "perf_counter_ns in python" in lines["noise floor"]["state"]


def test_a_machine_that_cannot_be_read_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("proc/cpuinfo", "proc/stat", "sys/kernel/mm/transparent_hugepage/enabled"):
        (tmp_path / name).mkdir(parents=True)  # a folder where a file is expected
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/perf_event_paranoid").write_bytes(b"\xff\xfe")
    monkeypatch.setattr(system, "ROOT", tmp_path)
    assert {finding.topic for finding in hftlab.doctor(quick=True)} >= TOPICS

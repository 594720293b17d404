"""Does the doctor find what is there, say what is not, leave the process as it was, and never fall ill itself?"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import hftlab
from hftlab.cli.main import main
from hftlab.diagnostics import AREAS, Diagnosis, Finding, processor, rights, tools
from hftlab.diagnostics.table import WIDE, doctor_table
from hftlab.measurement import affinity, system
from hftlab.measurement.machine import fingerprint

TOPICS = {
    "engine python", "engine rust", "python", "cpu", "frequency policy", "boost", "idle states", "SMT", "isolated cores",
    "cores without ticks", "virtual machine", "steal time", "cores allowed", "cpu quota", "load", "transparent huge pages",
    "reserved huge pages", "clocksource", "clock of python", "core pinning", "real-time scheduling", "memory lock",
    "hardware counters", "perf_event_paranoid", "ptrace", *tools.PROGRAMS, *tools.PACKAGES,
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    return hftlab.doctor()


def test_every_topic_has_a_state_and_a_reason(found: Diagnosis) -> None:
    topics = [finding.topic for finding in found]
    assert set(topics) >= TOPICS | {"noise floor"}
    assert len(set(topics)) == len(topics)
    for finding in found:
        assert finding.state, finding
        assert finding.why, finding
        assert finding.area in AREAS
        assert finding.good is not False or finding.improve, finding
    assert list(dict.fromkeys(finding.area for finding in found)) == list(AREAS)


def test_the_noise_floor_is_measured_unless_in_a_hurry(found: Diagnosis) -> None:
    assert "of the time lost" in found["noise floor"].state
    with pytest.raises(KeyError):
        hftlab.doctor(quick=True)["noise floor"]


def test_the_process_is_as_it_was() -> None:
    def state() -> tuple[Any, ...]:
        return os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority

    if not hasattr(os, "sched_getscheduler"):
        pytest.skip("this system has no policies")
    before = state()
    hftlab.doctor(quick=True)
    assert state() == before
    assert affinity.in_force() is None


def test_json_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--quick"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"schema", "hftlab", "machine", "findings"}
    assert told["schema"] == "hftlab-doctor/1"
    assert told["machine"]["cpu"] == fingerprint()["cpu"]
    for finding in told["findings"]:
        assert set(finding) == {"topic", "state", "good", "why", "improve", "area"}
        assert finding["good"] in (True, False, None)


def test_a_notebook_gets_a_frame_and_a_table(found: Diagnosis) -> None:
    frame = found.frame()
    assert frame.columns == ["area", "topic", "state", "good", "why", "improve"]
    assert frame.height == len(found.findings)
    assert repr(found).count("\n") == len(found.findings)
    risky = replace(found, findings=(Finding("a<b", "x & y", False, "why", "do <this>", "tools"),))
    assert "a&lt;b" in risky._repr_html_()
    assert "x &amp; y" in risky._repr_html_()
    assert risky.advice() == ["a<b: x & y; do <this>"]


@pytest.mark.parametrize("width", [100, WIDE, 160])
def test_the_table_fits_and_shows_every_topic(found: Diagnosis, width: int, tmp_path: Path) -> None:
    with open(tmp_path / "table", "w+") as out:
        Console(file=out, width=width).print(doctor_table(found, width))
        out.seek(0)
        lines = out.read().splitlines()
    assert max(map(len, lines)) == width
    assert "…" not in "".join(lines)
    cells = " ".join(line.split("│")[2].strip() for line in lines if line.count("│") > 2)
    for finding in found:
        assert finding.topic in cells


def test_a_bad_machine_is_told_how_to_become_better() -> None:
    bad = {
        **fingerprint(),
        "governor": "powersave", "frequency_driver": "acpi", "min_mhz": 800.0, "max_mhz": 4000.0, "boost": "on",
        "threads_per_core": 2, "isolated": "none", "nohz_full": "none", "hypervisor": "KVM", "steal_s": 9.0, "steal_share": 0.1,
        "affinity": [0], "cpu_quota": 0.5, "load_1min": 8.0, "transparent_hugepages": "never",
    }  # fmt: skip
    findings = {one.topic: one for one in (*processor.look(bad, True), *processor.look_at_system(bad, True))}
    wrong = {name for name, one in findings.items() if one.good is False}
    assert wrong == set(findings) - {"cpu", "idle states", "reserved huge pages"}
    assert "800 to 4,000 MHz" in findings["frequency policy"].state
    assert all(findings[name].improve for name in wrong)
    good = {
        **bad,
        "governor": "performance", "boost": "off", "threads_per_core": 1, "isolated": "3", "nohz_full": "3", "hypervisor": "",
        "steal_share": 0.0, "affinity": [0, 1], "cpu_quota": None, "load_1min": 0.0, "transparent_hugepages": "madvise",
    }  # fmt: skip
    assert not [one for one in (*processor.look(good, True), *processor.look_at_system(good, True)) if one.good is False]


def test_what_is_refused_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("sched_setscheduler", "sched_setaffinity"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    told = {one.topic: one for one in rights.look(fingerprint(), True)}
    assert told["real-time scheduling"].good is False
    assert "not permitted" in told["real-time scheduling"].state
    assert told["core pinning"].good is False


def test_counters_are_there_or_a_plain_word_says_why_not() -> None:
    state = rights.counters()
    assert state in ("available", "not permitted", "not supported here")
    there = rights.look(fingerprint(), True)[3]
    assert (there.topic, there.good) == ("hardware counters", state == "available")


BLIND = """
import sys
for name in ("altair", "vl_convert", "jupyterlab", "line_profiler", "memray", "hftlab_rust"):
    sys.modules[name] = None
from pathlib import Path
from hftlab.measurement import system
system.ROOT = Path(sys.argv[1])
from hftlab.cli.main import main
sys.exit(main(["doctor", *sys.argv[2:]]))
"""


def test_with_nothing_there_it_still_says_so(tmp_path: Path) -> None:
    blind = {**os.environ, "PATH": ""}
    blind.pop("HFTLAB_REQUIRE_RUST", None)
    for more in (["--json"], ["--quick"]):
        command = [sys.executable, "-c", BLIND, str(tmp_path / "nowhere"), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=blind)
        assert (done.returncode, done.stderr) == (0, "")
        if more == ["--json"]:
            told = {finding["topic"]: finding for finding in json.loads(done.stdout)["findings"]}
    for name in ("cargo", "valgrind", "strace", "chromium", "altair", "memray"):
        assert (told[name]["state"], told[name]["good"]) == ("missing", False)
    assert told["engine rust"]["good"] is False
    for name in ("frequency policy", "boost", "SMT", "steal time", "clocksource", "perf_event_paranoid"):
        assert told[name]["state"].startswith("not told here"), name
    assert "perf_counter_ns in python" in told["noise floor"]["state"]


def test_a_machine_that_cannot_be_read_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("proc/cpuinfo", "proc/stat", "sys/kernel/mm/transparent_hugepage/enabled"):
        (tmp_path / name).mkdir(parents=True)  # a folder where a file is expected
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/perf_event_paranoid").write_bytes(b"\xff\xfe")
    monkeypatch.setattr(system, "ROOT", tmp_path)
    assert {finding.topic for finding in hftlab.doctor(quick=True)} >= TOPICS

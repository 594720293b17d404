"""Does a placement hold within its block and nowhere else, and is what the system refuses reported?"""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from hftlab.cli.main import main
from hftlab.errors import ConfigError
from hftlab.measurement import affinity
from hftlab.measurement.affinity import PRIORITY, cpu_affinity, each_core, in_force
from hftlab.measurement.machine import fingerprint

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin")


def state() -> tuple[Any, ...]:
    return os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, in_force()


@pytest.fixture(autouse=True)
def unchanged() -> Any:
    """Whatever a test does, the process is afterwards as it was."""
    before = state()
    yield
    assert state() == before


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)


CORE = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def test_within_the_block_it_runs_on_that_core_alone() -> None:
    with cpu_affinity(CORE) as place:
        assert os.sched_getaffinity(0) == {CORE}
        assert (place.core, place.priority, place.refused) == (CORE, None, ())
        assert in_force() is place
        described = fingerprint()
        assert described["affinity"] == [CORE]
        assert described["placement"]["core"] == CORE
    assert fingerprint()["placement"] is None


def test_it_is_undone_on_an_exception_and_when_nested() -> None:
    before = state()

    def fall() -> None:
        with cpu_affinity(CORE, realtime=True):
            with cpu_affinity(CORE):
                pass
            assert os.sched_getaffinity(0) == {CORE}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fall()
    assert state() == before


def test_a_core_that_is_not_allowed_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ConfigError, match=rf"core 4095 is not allowed; this process may run on .*{CORE}"), cpu_affinity(4095):
        pass


def test_fifo_is_in_force_or_said_to_be_refused() -> None:
    with cpu_affinity(realtime=True) as place:
        fifo = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
        assert fifo == (place.priority == PRIORITY) == (not place.refused)
        if fifo:
            assert fingerprint()["scheduler"] == f"SCHED_FIFO {PRIORITY}"
            code = "import os; print(os.sched_getscheduler(0) == os.SCHED_OTHER)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            assert done.stdout.strip() == "True"  # children do not inherit it
        else:
            assert place.refused[0].startswith("SCHED_FIFO: ")


def test_a_refusal_is_a_sentence_and_the_block_runs(refusing: None) -> None:
    with cpu_affinity(CORE, realtime=True) as place:
        assert place.refused == ("SCHED_FIFO: not permitted (needs CAP_SYS_NICE, or a limit rtprio of 50)",)
        assert (place.core, place.priority) == (CORE, None)
        assert fingerprint()["placement"]["refused"] == list(place.refused)


def test_where_the_flag_may_not_be_taken_back_the_policy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has a limit rtprio but not CAP_SYS_NICE may go to SCHED_FIFO and back, but not clear the reset on fork."""
    policies: list[int] = []

    def limited(_: int, policy: int, __: Any) -> None:
        if policies and not policy & os.SCHED_RESET_ON_FORK:
            raise PermissionError(1, "Operation not permitted")
        policies.append(policy)

    monkeypatch.setattr(os, "sched_setscheduler", limited)
    before = os.sched_getscheduler(0)
    with cpu_affinity(realtime=True) as place:
        assert place.priority == PRIORITY
    assert policies == [os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, before | os.SCHED_RESET_ON_FORK]


def test_a_thread_begun_in_the_block_is_let_go_with_it() -> None:
    release, cores = threading.Event(), []

    def work() -> None:
        release.wait(10)
        cores.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    with cpu_affinity(CORE):
        thread.start()
    release.set()
    thread.join()
    assert cores == [os.sched_getaffinity(0)]


def test_throttling_is_told(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = tmp_path / "proc" / "sys" / "kernel"
    kernel.mkdir(parents=True)
    (kernel / "sched_rt_period_us").write_text("1000000\n")
    monkeypatch.setattr(affinity.system, "ROOT", tmp_path)
    for runtime, shown in (("950000", "at most 95% of each 1 s"), ("-1", ""), ("1000000", "")):
        (kernel / "sched_rt_runtime_us").write_text(runtime)
        assert shown in affinity.throttling()
        assert bool(shown) == bool(affinity.throttling())


def test_a_walk_over_the_cores_ends_where_it_began() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    on = []
    for core in each_core(2):
        assert len(allowed) == 1 or os.sched_getaffinity(0) == {core}
        on.append(core)
    assert set(on) == set(allowed)
    assert os.sched_getaffinity(0) == set(allowed)


@pytest.mark.rust
def test_the_commands_say_what_was_refused_and_go_on(refusing: None, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ffi", "--rounds", "3", "--messages", "100", "--core", str(CORE), "--realtime"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.err == "hftlab: SCHED_FIFO: not permitted (needs CAP_SYS_NICE, or a limit rtprio of 50)\n"
    assert f"pinned to core {CORE}" in shown.out


def test_the_commands_refuse_a_core_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("bench", "scaling", "ffi"):
        assert main([command, "--core", "4095"]) == 2
        assert capsys.readouterr().err.startswith("hftlab: error: core 4095 is not allowed; this process may run on")

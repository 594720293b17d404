"""Does the fingerprint hold what a number must not travel without, wherever it is taken, and do two of them compare?"""

import json
import subprocess
from pathlib import Path

import pytest

from hftlab.measurement import machine, system
from hftlab.measurement.machine import CIRCUMSTANCE, CODE, STABLE, describe, differences, fingerprint

CPU = "sys/devices/system/cpu"
FILES = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Planted 9000\ncpu MHz\t\t: 4000.5\n"
    "flags\t\t: fpu rdtscp constant_tsc nonstop_tsc\n\nprocessor\t: 1\nmodel name\t: Another\n",
    "proc/stat": "cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 1 1",
    "proc/sys/vm/nr_hugepages": "512\n",
    "proc/self/cgroup": "0::/a/b\n",
    "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
    "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
    f"{CPU}/cpu0/cpufreq/scaling_driver": "intel_pstate\n",
    f"{CPU}/cpu0/cpufreq/scaling_min_freq": "800000\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "5000000\n",
    f"{CPU}/cpu0/topology/thread_siblings_list": "0,8\n",
    f"{CPU}/cpu0/cache/index0/type": "Data\n",
    f"{CPU}/cpu0/cache/index0/size": "48K\n",
    f"{CPU}/cpu0/cache/index0/level": "1\n",
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    f"{CPU}/smt/control": "on\n",
    f"{CPU}/isolated": "2-3\n",
    f"{CPU}/nohz_full": "2-3\n",
    f"{CPU}/cpuidle/current_driver": "intel_idle\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
}


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of files, where /proc and /sys are looked for."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(system, "ROOT", tmp_path)
    return tmp_path


def test_every_field_is_documented_and_in_one_group() -> None:
    found = fingerprint()
    assert list(found) == [*STABLE, *CODE, *CIRCUMSTANCE]
    assert len(set(found)) == len(found)


def test_a_fingerprint_survives_json_and_equals_itself() -> None:
    found = fingerprint()
    assert json.loads(json.dumps(found)) == found
    assert differences(found, json.loads(json.dumps(fingerprint()))) == {}


def test_what_cannot_change_is_read_once() -> None:
    fingerprint()
    before = machine._fixed.cache_info()
    fingerprint()
    after = machine._fixed.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def test_what_the_system_says_is_read(planted: Path) -> None:
    found = fingerprint()
    expected = {
        "cpu": "Planted 9000",
        "mhz": "4000.5",
        "threads_per_core": 2,
        "caches": {"L1": 48 << 10},
        "tsc_flags": ["constant_tsc", "nonstop_tsc", "rdtscp"],
        "governor": "powersave",
        "frequency_driver": "intel_pstate",
        "boost": "on",
        "min_mhz": 800.0,
        "max_mhz": 5000.0,
        "smt": "on",
        "isolated": "2-3",
        "nohz_full": "2-3",
        "idle_driver": "intel_idle",
        "transparent_hugepages": "never",
        "huge_pages": 512,
        "clocksource": "hpet",
        "cpu_quota": 1.5,
        "steal_share": 0.1,
    }
    assert {name: found[name] for name in expected} == expected


def test_where_nothing_can_be_read_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "ROOT", tmp_path / "nowhere")
    found = fingerprint()
    assert found["governor"] == found["clocksource"] == found["transparent_hugepages"] == found["boost"] == "unknown"
    assert found["isolated"] == found["nohz_full"] == "none"
    assert found["caches"] == {}
    assert found["tsc_flags"] == []
    for name in ("threads_per_core", "min_mhz", "huge_pages", "cpu_quota", "steal_s", "steal_share"):
        assert found[name] is None
    assert found["cpu"]
    assert len(describe(found).splitlines()) == 1


def test_differences_name_what_must_be_equal_and_nothing_else() -> None:
    a = fingerprint()
    b = {**a, "governor": "other", "cores": 999, "load_1min": 77.0, "affinity": [5], "commit": "another", "time": "later"}
    del b["kernel"]
    assert differences(a, b) == {
        "cores": (a["cores"], 999),
        "governor": (a["governor"], "other"),
        "kernel": (a["kernel"], None),
    }
    assert differences(a, b, CODE) == {"commit": (a["commit"], "another")}


@pytest.mark.parametrize(
    ("flags", "signature", "files", "name"),
    [
        ([], "", {}, ""),
        (["hypervisor"], "", {}, "unknown kind"),
        (["hypervisor"], "KVMKVMKVM", {}, "KVM"),
        (["hypervisor"], "Microsoft Hv", {}, "Hyper-V"),
        (["hypervisor"], "MadeUpVisor", {}, "MadeUpVisor"),
        (["hypervisor"], "", {"class/dmi/id/sys_vendor": "VMware, Inc."}, "VMware"),
        (["hypervisor"], "", {"devices/system/clocksource/clocksource0/available_clocksource": "tsc kvm-clock"}, "KVM"),
        ([], "", {"hypervisor/type": "xen"}, "Xen"),
        ([], "", {"class/dmi/id/sys_vendor": "QEMU's friends"}, ""),  # a name alone is no guest
    ],
)
def test_the_hypervisor_is_named(
    flags: list[str], signature: str, files: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, text in files.items():
        (tmp_path / "sys" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / path).write_text(text)
    monkeypatch.setattr(system, "ROOT", tmp_path)
    assert system.hypervisor(flags, signature) == name


def test_lists_of_cores_and_quotas_are_understood(planted: Path) -> None:
    assert system.cores("0-2,5") == [0, 1, 2, 5]
    assert system.cores("") == []
    (planted / "proc/self/cgroup").write_text("3:cpu,cpuacct:/box\n2:memory:/box\n")
    assert system.cpu_quota() is None
    (planted / "sys/fs/cgroup/cpu/box").mkdir(parents=True)
    (planted / "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us").write_text("50000\n")
    (planted / "sys/fs/cgroup/cpu/box/cpu.cfs_period_us").write_text("100000\n")
    assert system.cpu_quota() == 0.5
    (planted / "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us").write_text("-1\n")
    assert system.cpu_quota() is None


def test_the_commit_is_that_of_the_checkout(tmp_path: Path) -> None:
    assert machine._commit(tmp_path) == ("unknown", None)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except OSError:
        pytest.skip("there is no git")
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert machine._commit(tmp_path) == (commit, False)
    (tmp_path / "untracked").write_text("1")
    assert machine._commit(tmp_path) == (commit, False)
    (tmp_path / "file").write_text("2")
    assert machine._commit(tmp_path) == (commit, True)
    (tmp_path / "below").mkdir()
    assert machine._commit(tmp_path / "below") == ("unknown", None)  # a repository of somebody else's


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert machine._commit(tmp_path) == ("unknown", None)


@pytest.mark.rust
def test_the_compiler_of_the_extension_is_told() -> None:
    found = fingerprint()
    assert found["rustc"][0].isdigit()
    assert found["build_profile"].startswith("release, opt-level 3")


def test_one_line_says_where_it_was_pinned() -> None:
    found = {**fingerprint(), "placement": {"core": 3, "priority": 50}}
    assert describe(found).endswith(", pinned to core 3, SCHED_FIFO 50")
    assert "None" not in describe({**found, "load_1min": None})

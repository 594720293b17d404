"""A function of the learner's in Rust: compiled by rustc into a library that ctypes loads.

It runs in a process of its own, so that an answer that never returns, or that kills its process, is a sentence here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from hftlab.errors import BackendMissing, ConfigError, HftlabError

COMPILE_S, RUN_S = 120, 10
#: What stands between C and the learner's function. A panic must not cross into C: it is caught, and named by the exit code.
_DOOR = """
#[no_mangle]
pub unsafe extern "C" fn call(data: *const u8, length: usize, out: *mut u64) -> u8 {{
    let data = unsafe {{ std::slice::from_raw_parts(data, length) }};
    match std::panic::catch_unwind(|| {name}(data)) {{
        Ok(value) => {{
            unsafe {{ *out = value }};
            0
        }}
        Err(_) => 1,
    }}
}}
"""
_PANICKED = 3
_CALLER = f"""
import ctypes, sys, time
call, data, value, took = ctypes.CDLL(sys.argv[1]).call, sys.stdin.buffer.read(), ctypes.c_uint64(), []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter_ns()
    panicked = call(data, ctypes.c_size_t(len(data)), ctypes.byref(value))
    took.append(time.perf_counter_ns() - start)
    if panicked:
        sys.exit({_PANICKED})
print(value.value, min(took))
"""


def rustc() -> str | None:
    """Where the compiler is; None without one."""
    return shutil.which("rustc")


class RustFunction:
    """`fn NAME(data: &[u8]) -> u64` of a source text, as a function of bytes. It is compiled when it is first called."""

    def __init__(self, source: str, name: str) -> None:
        self.source, self.name = source, name

    def __repr__(self) -> str:
        return f"fn {self.name}(data: &[u8]) -> u64"

    def __call__(self, data: bytes) -> int:
        """Call it. Raises BackendMissing without a compiler; ConfigError if it does not compile; HftlabError if it panics or
        does not return."""
        return self.timed(data, 1)[0]

    def timed(self, data: bytes, calls: int) -> tuple[int, int]:
        """What it returns, and the fastest of some calls in ns, the FFI boundary included. Raises like a call."""
        words = [sys.executable, "-c", _CALLER, str(_compiled(self.source, self.name)), str(calls)]
        try:
            done = subprocess.run(words, input=data, capture_output=True, timeout=RUN_S, check=False)
        except subprocess.TimeoutExpired:
            raise HftlabError(f"{self.name} did not return within {RUN_S} s: does every turn of its loop move on?") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").splitlines()
            why = next((after for line, after in pairwise(lines) if "panicked at" in line), "")
            what = f"{self.name} panicked: {why}" if done.returncode == _PANICKED else f"the process of {self.name} died"
            raise HftlabError(what)
        value, ns = done.stdout.split()
        return int(value), int(ns)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """For sources and libraries, gone with the process."""
    return tempfile.TemporaryDirectory(prefix="hftlab-rust-")


@cache
def _compiled(source: str, name: str) -> Path:
    compiler = rustc()
    if compiler is None:
        raise BackendMissing("rustc is not installed: the Rust toolchain (rustup, or conda's package rust) brings it")
    path = Path(_folder().name) / f"{sha256(source.encode()).hexdigest()[:12]}.rs"
    path.write_text(source + _DOOR.format(name=name))
    library = path.with_suffix(".so")
    options = ["--edition=2021", "--crate-type=cdylib", "--crate-name=answer", "--error-format=short", "-O", "-o", str(library)]
    done = subprocess.run([compiler, *options, str(path)], capture_output=True, text=True, timeout=COMPILE_S, check=False)
    if done.returncode:
        errors = (line.partition(".rs:")[2] for line in done.stderr.splitlines() if ": error" in line)
        raise ConfigError(f"it does not compile: line {next(errors, done.stderr.strip()[:200])}")
    return library

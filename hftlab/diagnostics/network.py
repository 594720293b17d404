"""What the machine has of a network for messages between processes: `hftlab net transports` says it one by one."""

from __future__ import annotations

from typing import Any

from hftlab.diagnostics.finding import Finding
from hftlab.engine.session import backends, resolve

_WHY = "a wire-to-wire measurement takes them in turn"
_BYPASS = "frames past the kernel's protocols: the quickest way over a wire"
_AREA = "transports"


def look(machine: dict[str, Any], quick: bool) -> list[Finding]:
    """Transports that carry a message here; AF_XDP by itself."""
    rust: Any = next((resolve("rust")[1] for info in backends() if info.name == "rust" and info.available), None)
    if not hasattr(rust, "transports"):
        return [Finding(_AREA, "not told: they are in the Rust engine", None, _WHY, "make rust")]
    probes = {row[0]: rust.transport_probe(row[0]) for row in rust.transports()}
    missing = [name for name, (works, _, _) in probes.items() if not works]
    told = f"{len(probes) - len(missing)} of {len(probes)} carry a message"
    state = told + (f"; not {', '.join(missing)}" if missing else "")
    improve = "hftlab net transports says why not" if missing else ""
    works, _, why = probes["xdp-skb"]
    needs = "" if works else "run as root, with CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN"
    return [
        Finding(_AREA, state, not missing, _WHY, improve),
        Finding("AF_XDP", "works" if works else why, works, _BYPASS, needs),
    ]

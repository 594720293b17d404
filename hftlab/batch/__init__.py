"""Many days, symbols, engines and settings at once: `sweep` (sweep.py), its tasks (task.py), what runs them (executors.py)."""

from __future__ import annotations

from hftlab.batch.sweep import SweepReport as SweepReport
from hftlab.batch.sweep import sweep as sweep

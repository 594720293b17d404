"""Many days, symbols, engines and settings at once: `sweep` and what runs it (sweep.py), its tasks (task.py)."""

from __future__ import annotations

from hftlab.batch.sweep import SweepReport as SweepReport
from hftlab.batch.sweep import sweep as sweep

"""Does anybody's engine keep the contract?

hftlab.conformance.engine("mine")               every check of the contract, then the speed; see suite.py
hftlab.conformance.pytest_suite.Conformance     the same checks as a test class to inherit
"""

from __future__ import annotations

from hftlab.conformance.suite import ConformanceReport as ConformanceReport
from hftlab.conformance.suite import engine as engine

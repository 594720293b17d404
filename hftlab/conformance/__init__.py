"""Do two engines compute the same, and does anybody's engine keep the contract?

hftlab.verify("python", "rust", feed)      the first message at which two engines part
hftlab.conformance.conformance("mine")          every check of the contract, then the speed; see suite.py
hftlab.conformance.pytest_suite.Conformance     the same checks as a test class to inherit
"""

from __future__ import annotations

from hftlab.conformance.suite import Report as Report
from hftlab.conformance.suite import conformance as conformance
from hftlab.engine.divergence import Divergence as Divergence
from hftlab.engine.verify import Verdict as Verdict
from hftlab.engine.verify import verify as verify

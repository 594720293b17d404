"""Do two engines compute the same, and does anybody's engine keep the contract?

hftlab.verify("python", "rust", feed)      the first message at which two engines part
hftlab.verify.conformance("mine")          every check of the contract, then the speed; see suite.py
hftlab.verify.pytest_suite.Conformance     the same checks as a test class to inherit
"""

from __future__ import annotations

from hftlab.callable_module import make_callable
from hftlab.verify.compare import Verdict as Verdict
from hftlab.verify.compare import verify as verify
from hftlab.verify.divergence import Divergence as Divergence
from hftlab.verify.suite import Report as Report
from hftlab.verify.suite import conformance as conformance

make_callable(__name__)

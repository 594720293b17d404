"""Does anybody's engine, or reader, keep the contract?

hftlab.conformance.engine("mine")               every check of the contract, then the speed; see suite.py
hftlab.conformance.reader(Mine, "sample.dat")   every rule of a reader of files; see readers.py
hftlab.conformance.pytest_suite.Conformance     the same checks as a test class to inherit
"""

from __future__ import annotations

from hftlab.conformance.readers import ReaderReport as ReaderReport
from hftlab.conformance.readers import reader as reader
from hftlab.conformance.suite import ConformanceReport as ConformanceReport
from hftlab.conformance.suite import engine as engine

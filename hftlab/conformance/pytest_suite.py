"""The conformance suite as a test class to inherit: one test per check. The only module that needs pytest.

from hftlab.conformance.pytest_suite import Conformance

class TestMine(Conformance):
    backend = "mine"
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from hftlab.conformance.checks import Check, EngineUnderTest
from hftlab.conformance.suite import select


class Conformance:
    """Inherit it and name the engine.

    backend : whatever `hftlab.conformance.engine` takes: a name, an object, the class of a stage, an Engine
    """

    backend: ClassVar[Any] = None
    _subject: ClassVar[EngineUnderTest]

    @classmethod
    def setup_class(cls) -> None:
        """Open it once for all checks; an engine that cannot be opened fails here, with its own error."""
        if cls.backend is None:
            pytest.fail(f"{cls.__name__}.backend must be whatever hftlab.conformance.engine takes, got None", pytrace=False)
        cls._subject = EngineUnderTest.of(cls.backend)

    @pytest.mark.parametrize("check", select(), ids=lambda check: check.name)
    def test_conforms(self, check: Check) -> None:
        result = check(self._subject)
        if result.outcome == "skipped":
            pytest.skip(result.why)
        if result.outcome == "failed":
            pytest.fail(f"{result.question}\n{result.reason}", pytrace=False)

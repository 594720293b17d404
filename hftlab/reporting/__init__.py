"""The report: everything that was measured, on one page. `hftlab.report(feed)` measures and writes it, and returns a ReportPage.

measurements.py   what is measured; stored, and read again
chapters.py       the verdict, tables, notes and charts of the results, chapter by chapter
page.py           report(), rebuild() and the page, in every format
"""

from __future__ import annotations

from hftlab.reporting.page import ReportPage as ReportPage
from hftlab.reporting.page import rebuild as rebuild
from hftlab.reporting.page import report as report

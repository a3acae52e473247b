"""The report of a run: tables for the terminal, and HTML pages with their pictures inside.

Read `run_page.py` first, what the page holds; `templates/` says it, `tables.py` and `drawings/` show the figures.
"""

from neurolm.report.joined_page import write_joined_report
from neurolm.report.overview_page import write_overview
from neurolm.report.run_page import write_report
from neurolm.report.tables import joined_tables, protocol_table, published_table, results_table, robustness_table

__all__ = [
    "joined_tables",
    "protocol_table",
    "published_table",
    "results_table",
    "robustness_table",
    "write_joined_report",
    "write_overview",
    "write_report",
]

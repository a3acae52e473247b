"""The report of a run: a table for the terminal, and one HTML file with its pictures inside.

Read `run_page.py` first, the page; `tables.py` is the terminal's, `drawings/` has the pictures.
"""

from neurolm.report.joined_page import joined_tables, write_joined_report
from neurolm.report.published import published_table
from neurolm.report.run_page import write_report
from neurolm.report.tables import protocol_table, robustness_table, table

__all__ = [
    "joined_tables",
    "protocol_table",
    "published_table",
    "robustness_table",
    "table",
    "write_joined_report",
    "write_report",
]

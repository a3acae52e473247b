"""The report of a run: a table for the terminal, and one HTML file with its pictures inside.

Read `write.py` first, the page; `table.py` is the terminal's, `figures.py` has the pictures.
"""

from neurolm.report.joined import joined_tables, write_joined_report
from neurolm.report.published import published_table
from neurolm.report.table import protocol_table, robustness_table, table
from neurolm.report.write import write_report

__all__ = [
    "joined_tables",
    "protocol_table",
    "published_table",
    "robustness_table",
    "table",
    "write_joined_report",
    "write_report",
]

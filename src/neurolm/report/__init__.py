"""The report of a run: a table for the terminal, and one HTML file with its pictures inside."""

from neurolm.report.table import robustness_table, table
from neurolm.report.write import write_report

__all__ = ["robustness_table", "table", "write_report"]

"""The report of one recording: what it is, how good it is, what the model answers about it and why.

Read `build.py` first, which puts the sections together of what `gather.py` found out; `html.py` and `pdf.py` show them.
"""

from neurolm.report.recording.write import KINDS, kind_of, recording_report, write_recording_report

__all__ = ["KINDS", "kind_of", "recording_report", "write_recording_report"]

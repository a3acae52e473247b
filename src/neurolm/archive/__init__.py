"""Questions about many recordings, by many processes or machines, resumable at any moment.

Read `archive.py` first, the way in; `inputs.py` finds the recordings, `worker.py` answers one, `embed.py` has features
of all of them instead of answers.
"""

"""The service: a page where EEG and answers stand together, and the HTTP API under it, for programs.

Read `settings.py` first, what can be chosen, then `app.py`, which puts the parts together; `service.py` is what lives
as long as the service does. What it imports beyond neurolm comes with ``pip install 'neurolm[serve]'``.
"""

"""Tools for assistants: recordings of one folder, asked by the Model Context Protocol.

Read `tools.py` first, what an assistant can call; `words.py` is how an answer is said so that its doubts stay with it.
`folder.py` decides which files there are, `desk.py` holds the model and does the work, `serve.py` opens the ways in.
"""

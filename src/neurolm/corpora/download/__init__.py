"""Open data sets fetched from where they are published, resumed and verified.

Read `download.py` first; `sites.py` says where data sets lie, `transfer.py` fetches one file.
"""

"""A small labelled corpus of simulated EEG: sleep stages, epileptiform events, workload.

Read `simulate.py` first; `physiology.py` has the facts and their sources.
"""

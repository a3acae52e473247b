"""What the loop needs of the machine: replicas and shards, resume states, precision, stopping.

Read `state.py` first; `replicas.py` and `sharding.py` are the two ways to train in several processes.
"""

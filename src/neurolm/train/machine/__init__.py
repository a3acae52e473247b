"""What the loop needs of the machine: replicas and shards of a model, resume states, precision, stopping."""

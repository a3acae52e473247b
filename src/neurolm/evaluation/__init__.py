"""Evaluation of a model on held-out subjects, beside baselines on the same windows."""

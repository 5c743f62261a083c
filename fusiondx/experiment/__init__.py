"""Experiments: an experiment.yaml becomes a cohort, models and a verdict, and leaves a run folder."""

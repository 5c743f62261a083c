"""Classical models: regularised regressions and boosted trees on whatever can be put into columns."""

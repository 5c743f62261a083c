"""Stacking: networks and classical models, weighted by what they said of patients they had not seen."""

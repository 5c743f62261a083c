"""Explanations: what drove a prediction, by modality, by column, by pathway and by place in an image."""

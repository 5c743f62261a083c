"""Multimodal tumour diagnosis and prognosis."""

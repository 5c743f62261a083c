"""Radiomics: named features of one image, inside its tumour mask where there is one. One family per file."""

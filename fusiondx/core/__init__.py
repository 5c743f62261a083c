"""The nouns and contracts everything else is built on."""

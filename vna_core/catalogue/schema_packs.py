"""Tables of the catalogue: packs: sealed series."""

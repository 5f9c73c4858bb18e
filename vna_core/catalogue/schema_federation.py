"""Tables of the catalogue: federation members and cut-over."""

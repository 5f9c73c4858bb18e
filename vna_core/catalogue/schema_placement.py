"""Tables of the catalogue: copies of versions: what placement wants and what is done."""

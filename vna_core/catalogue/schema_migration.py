"""Tables of the catalogue: the ledger of migrations."""

"""Tables of the catalogue: scrubs, holds, retention and deletions."""

"""In and out of other tools' formats: existing token sets in; tokens, rows in plan order and corpora out."""

"""The way from a training token back to the raw record, and from a document forward to the steps that see it."""

"""`kaitian preview mixture=...`: what a mixture or a plan takes of every component, before anything runs."""

"""`kaitian tune-classifier`: the settings under which a trained filter learns best."""

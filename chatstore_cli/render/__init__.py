"""Results made visible. The only package that imports rich."""

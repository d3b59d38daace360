"""Errors as each family of routes reports them."""

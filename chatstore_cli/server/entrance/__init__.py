"""Who and what is let in: keys, tenants, limits, connections, and the record of what was read."""

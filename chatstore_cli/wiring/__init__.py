"""Settings -> ready-made ports. The one place that chooses adapters."""

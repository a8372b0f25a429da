"""A small shop to watch: real exporters, daily-looking load, incidents on a schedule."""

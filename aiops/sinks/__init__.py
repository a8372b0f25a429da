"""Where results go: the feed, metrics pages, other Prometheus servers."""

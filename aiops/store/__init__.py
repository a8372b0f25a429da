"""Records on disk: detectors, anomalies, and the feed's memory."""

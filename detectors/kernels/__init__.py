"""Free functions over arrays, compiled; shared by two detectors or more."""

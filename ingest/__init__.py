"""The outside world to SampleBatch: decoding, no judgement."""

"""HTTP and WebSocket: asks the engine through `ports`, knows nothing else of it."""

"""Stand-ins for expensive parts; `engine` plays an OpenAI server that fails on request."""

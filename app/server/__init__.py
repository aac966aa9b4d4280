"""The HTTP API, compatible with OpenAI's and Anthropic's."""

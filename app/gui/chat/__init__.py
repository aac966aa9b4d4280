"""The chat page: conversations at the left, the transcript, and the composer."""

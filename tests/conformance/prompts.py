"""What everyone's examples ask."""

FRIENDS = (
    "I have two friends. The first is Ollama 22 years old busy saving the world, and the second is Alonso 23 years old and "
    "wants to hang out. Return a list of friends in JSON format"
)

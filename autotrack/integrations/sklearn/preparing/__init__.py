"""What training data went through before it met a model, and what looks wrong about that."""

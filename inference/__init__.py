"""What the model touches: the worker, one answer, the budget, the prompt, the engine."""

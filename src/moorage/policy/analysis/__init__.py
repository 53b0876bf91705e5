"""Analysis of decisions: explanations, suggestions, and decisions on partly known requests."""

"""What a task decodes, and how well: targets, scores, figures."""

"""Training: networks, losses, data sets, recipes, the loop, and evaluation."""

"""The commands' work, each a recipe: train, evaluate."""

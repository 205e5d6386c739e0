"""The commands' work: a recipe for each, whose steps lie in the rooms beside them."""

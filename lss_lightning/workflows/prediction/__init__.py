"""The steps from a study to what is reported of it."""

"""The steps of a prediction: inference, measurement, levels and findings of a study."""

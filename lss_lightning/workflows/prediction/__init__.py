"""The steps of a prediction: inference, measurements, levels and findings of a study."""

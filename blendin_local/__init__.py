"""blendin-local: a small aligned guide model steers a larger base model, on your own machine."""

__version__ = "0.1.0"

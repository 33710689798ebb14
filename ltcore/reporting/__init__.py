"""Reports from results files alone: no torch, no images, no plugin."""

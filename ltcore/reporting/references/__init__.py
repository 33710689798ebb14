"""Published accuracies, a JSON file each; :mod:`ltcore.reporting.reference` reads them."""

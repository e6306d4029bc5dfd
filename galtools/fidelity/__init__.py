"""Fidelity of translated images: pixels, morphology, peak fluxes, redshift; the card."""

"""Per-parameter capacity (section 2.1): Figures 1, 2a, 2b and App.1, the linear model, later cells."""

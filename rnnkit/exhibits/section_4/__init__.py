"""Trainability (section 4 and Appendix C): Figures 4 and 5, Tables 1, App.1 and App.2."""

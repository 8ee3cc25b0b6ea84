"""The search (Appendix A): how far it has come, against random search, and what matters."""

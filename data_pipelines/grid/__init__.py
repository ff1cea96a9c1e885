"""The corpus GRID."""

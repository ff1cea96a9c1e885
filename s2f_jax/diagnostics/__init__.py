"""Diagnostics: `doctor` checks machine and inputs, `benchmark` measures speed."""

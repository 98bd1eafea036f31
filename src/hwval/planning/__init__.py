"""Memory, division, support and ceilings of a cell before it runs: sourced formulas, no I/O."""

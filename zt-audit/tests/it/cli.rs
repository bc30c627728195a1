//! The program `zt-audit`, run as one.

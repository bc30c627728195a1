//! The program `zt-audit`; see `zt-audit --help`.

//! zt-audit

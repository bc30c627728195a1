//! zt-audit
fn main() {}

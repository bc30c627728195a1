//! The stack: every layer in its one place.

pub mod slots;

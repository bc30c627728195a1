//! The longer thoughts. There is no code here.
//!
//! - [`attacks`]: known attacks, what stops them here, and what does not.
//! - [`defaults`]: why each default is what it is, and what it takes to change it.
//! - [`by_hand`]: composing a stack without the builder, and writing layers of one's own.
//! - [`will_not`]: what zt will not do.

pub mod attacks;
pub mod by_hand;
pub mod defaults;
pub mod will_not;

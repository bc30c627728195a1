//! Rate limits for zt: has this caller spent its rate?
//!
//! [`LimitRateLayer`] limits by peer before anything expensive happens, and by principal once it
//! is known who asks; [`Quota`] says how much. Memory is bounded from the start, and nothing that
//! a stranger sends makes the limiter forget a caller who has used up its quota.

pub mod limit_rate;

pub use self::limit_rate::{LimitRate, LimitRateLayer, Quota};

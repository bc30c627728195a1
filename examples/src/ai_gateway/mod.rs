//! A gateway in front of a language model: keys spend from their team, teams from their
//! organisation, and nobody spends more than there is.

pub mod model;
pub mod prices;

//! What the fuzz targets reach of this store. Not part of the library.

use std::sync::Arc;

use super::{
    keys::{self, Names},
    words::{self, Words},
};
use crate::counter::{Adjust, Claim, CounterError};

/// Reads `said` as the answer to every step; how many could be read.
pub fn answer(said: &[String]) -> usize {
    let words = || Words::new(said.to_vec());
    let mut read = 0;
    let mut count = |is_read: bool| read += usize::from(is_read);
    count(words().settled().is_ok());
    count(words().marks().is_ok());
    if let Ok(standings) = words().standings() {
        assert_eq!(standings.len() * 3, said.len());
        count(true);
    }
    let mut cells = words();
    while !cells.is_empty() && cells.cell(7).is_ok() {
        count(true);
    }
    let mut holds = words();
    while !holds.is_empty() && holds.hold().is_ok() {
        count(true);
    }
    for word in said {
        if let Ok(expired) = words::expired(word) {
            assert!(expired.budgets.len() <= word.len());
            count(true);
        }
        let _ = super::inner::refusal(word);
    }
    read
}

/// What an administrator's act says to a script.
pub fn adjustment(claim: Claim<'_>, how: &Adjust) -> Result<[String; 4], CounterError> {
    words::adjustment(claim, how)
}

/// The key of a cell, and what is read of it.
pub fn cell_key(root: &str, claim: Claim<'_>) -> (String, Option<(Arc<str>, Arc<str>, Arc<str>)>) {
    let key = Names::new("zt").map_or_else(String::new, |names| names.cell(root, claim));
    let parsed = keys::parse_cell(&key);
    (key, parsed)
}

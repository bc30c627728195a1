//! Snapshots that are swapped whole, and whether they are fresh enough to serve by.

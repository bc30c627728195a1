//! Real files under a live log.

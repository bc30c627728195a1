//! An issuer for tests: mints good and bad tokens, and serves its keys on loopback.

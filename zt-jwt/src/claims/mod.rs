//! What a token says, read once its signature holds.

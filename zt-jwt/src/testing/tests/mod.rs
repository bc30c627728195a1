mod bad_tokens;
mod good_tokens;
mod wire;

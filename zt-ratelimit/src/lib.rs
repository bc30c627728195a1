//! zt-ratelimit

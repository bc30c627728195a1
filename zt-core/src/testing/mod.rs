//! Servers for tests, behind the feature `test-util`: started by the test on a free port, over a
//! folder of their own, and gone with it.

#[cfg(unix)]
mod postgres_server;
mod redis_server;

#[cfg(unix)]
pub use self::postgres_server::PostgresServer;
pub use self::redis_server::RedisServer;

/// Whether a server that is not installed fails the test: `ZT_REQUIRE_SERVERS=1`.
#[must_use]
pub fn servers_are_required() -> bool {
    std::env::var_os("ZT_REQUIRE_SERVERS").is_some_and(|value| value == "1")
}

mod contract;

use super::*;
use crate::testing::RedisServer;

/// A client of `server`, with the time-out of every application that says nothing.
async fn client(server: &RedisServer) -> RedisClient {
    let config = RedisConfig::new(&server.url()).unwrap();
    RedisClient::connect(config).await.unwrap()
}

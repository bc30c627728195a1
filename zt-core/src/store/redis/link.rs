//! One connection, and whether the server at its end may be used.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use redis::{AsyncConnectionConfig, Cmd, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};

use super::{RedisConfig, RedisError, config::Address};

/// Who waits for news, by channel.
pub(super) type Listeners = Arc<Mutex<HashMap<Vec<u8>, Arc<Notify>>>>;

/// A connection that many calls share. It closes when the last of them lets go.
#[derive(Debug)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    /// Which process of the server this is; empty where it may not say.
    pub(super) run: String,
    /// The channels that were asked for, and whether they may be heard.
    channels: Mutex<HashMap<Vec<u8>, bool>>,
}

impl Link {
    pub(super) async fn connect(
        config: &RedisConfig,
        listeners: &Listeners,
    ) -> Result<Self, RedisError> {
        match &config.address {
            Address::Unix(_) if config.wants_tls => {
                Err(RedisError::Config("there is no TLS over a socket of files"))
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path)
                    .await
                    .map_err(|e| unreachable(&e))?;
                Self::over(stream, config, listeners).await
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(RedisError::Config("there are no sockets of files here")),
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(|e| unreachable(&e))?;
                stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
                if config.wants_tls {
                    Self::over_tls(stream, host, config, listeners).await
                } else {
                    Self::over(stream, config, listeners).await
                }
            }
        }
    }

    #[cfg(feature = "redis-tls")]
    async fn over_tls(
        stream: TcpStream,
        host: &str,
        config: &RedisConfig,
        listeners: &Listeners,
    ) -> Result<Self, RedisError> {
        use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
        let Some(tls) = &config.tls else {
            return Err(RedisError::Config("`rediss://` needs RedisConfig::tls"));
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| RedisError::Config("the host has no name that TLS could check"))?;
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
            .map_err(|e| unreachable(&e))?;
        Self::over(stream, config, listeners).await
    }

    #[cfg(not(feature = "redis-tls"))]
    async fn over_tls(
        _: TcpStream,
        _: &str,
        _: &RedisConfig,
        _: &Listeners,
    ) -> Result<Self, RedisError> {
        Err(RedisError::Config(
            "`rediss://` needs the feature `redis-tls`",
        ))
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        config: &RedisConfig,
        listeners: &Listeners,
    ) -> Result<Self, RedisError> {
        let heard = Arc::clone(listeners);
        let settings = AsyncConnectionConfig::new()
            // Times are kept by whoever calls.
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                tell(&heard, &push);
                Ok::<_, std::convert::Infallible>(())
            });
        let made = MultiplexedConnection::new_with_config(&config.settings, stream, settings);
        let (connection, driver) = made.await.map_err(|error| RedisError::of(&error))?;
        let mut link = Self {
            connection,
            driver: tokio::spawn(driver),
            run: String::new(),
            channels: Mutex::default(),
        };
        link.run = link.inspect().await?;
        Ok(link)
    }

    /// Asks one thing.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, redis::RedisError> {
        command.query_async(&mut self.connection.clone()).await
    }

    pub(super) fn is_over(&self) -> bool {
        self.driver.is_finished()
    }

    /// Whether `channel` is heard on this connection, which may be forbidden.
    pub(super) async fn hears(&self, channel: &[u8]) -> Result<bool, redis::RedisError> {
        if let Some(heard) = self.channels().get(channel) {
            return Ok(*heard);
        }
        let asked = self.connection.clone().subscribe(channel).await;
        let heard = match asked {
            Ok(()) => true,
            Err(error) if error.code() == Some("NOPERM") => {
                tracing::warn!("Redis does not let news be heard, so it is asked for instead");
                false
            }
            Err(error) => return Err(error),
        };
        self.channels().insert(channel.to_owned(), heard);
        Ok(heard)
    }

    fn channels(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, bool>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a server that would forget or that is not the first to know; gives the id of its
    /// process.
    async fn inspect(&self) -> Result<String, RedisError> {
        let facts = match self.ask(&redis::cmd("INFO")).await {
            Ok(facts) => text(facts)?,
            Err(error) if error.code() == Some("NOPERM") => {
                tracing::warn!("Redis does not let its INFO be read, so it cannot be checked");
                self.policy_alone().await?
            }
            Err(error) => return Err(RedisError::of(&error)),
        };
        let fact = |name: &str| {
            let mut lines = facts.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        if let Some(role) = fact("role")
            && role != "master"
        {
            return Err(RedisError::Unfit("it is a replica".into()));
        }
        if let Some(policy) = fact("maxmemory_policy")
            && policy != "noeviction"
        {
            let why = format!("its maxmemory-policy is `{policy}`, not `noeviction`");
            return Err(RedisError::Unfit(why.into()));
        }
        if fact("loading").is_some_and(|loading| loading != "0") {
            return Err(RedisError::unavailable("the server is still loading"));
        }
        Ok(fact("run_id").unwrap_or_default().to_owned())
    }

    /// The policy in the form of INFO, from where else it may stand; nothing where it may not be
    /// read.
    async fn policy_alone(&self) -> Result<String, RedisError> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("maxmemory-policy");
        let found = match self.ask(&command).await {
            Ok(Value::Map(pairs)) => pairs.into_iter().next().map(|(_, value)| value),
            Ok(Value::Array(parts)) => parts.into_iter().nth(1),
            Ok(_) => None,
            Err(error) if error.code() == Some("NOPERM") => None,
            Err(error) => return Err(RedisError::of(&error)),
        };
        match found {
            Some(policy) => Ok(format!("maxmemory_policy:{}", text(policy)?)),
            None => Ok(String::new()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Wakes who waits for what was published, and everyone where nothing more will come.
fn tell(listeners: &Listeners, push: &PushInfo) {
    let listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
    match (&push.kind, push.data.first()) {
        (PushKind::Message, Some(Value::BulkString(channel))) => {
            if let Some(news) = listeners.get(channel) {
                news.notify_waiters();
            }
        }
        (PushKind::Disconnection, _) => listeners.values().for_each(|news| news.notify_waiters()),
        _ => {}
    }
}

fn text(value: Value) -> Result<String, RedisError> {
    redis::from_redis_value(value).map_err(|_| RedisError::unavailable(ODD))
}

pub(super) const ODD: &str = "the server gave an answer of another kind";

fn unreachable(error: &std::io::Error) -> RedisError {
    RedisError::Unavailable(format!("the server cannot be reached: {}", error.kind()).into())
}

//! Where budgets are counted: in this process, or in a Redis that others share.

use std::sync::Arc;

use zt_ratelimit::counter::{
    CounterStore, MemoryCounters,
    redis::{RedisCounters, RedisOptions, RedisSetupError},
};

use crate::Result;

/// The first counters of a server. After it has lost them, somebody rebuilds them under another
/// number.
const GENERATION: u64 = 1;

/// Counters in the Redis at this address, which are begun where there are none; in this process
/// where there is no address.
///
/// # Errors
///
/// When the address cannot be read, or its server is not there.
pub async fn counters(redis: Option<&str>) -> Result<Arc<dyn CounterStore>> {
    let Some(address) = redis else {
        return Ok(Arc::new(MemoryCounters::default()));
    };
    let options = RedisOptions::new(address)?;
    match RedisCounters::initialise(options.clone(), GENERATION).await {
        // Another instance was earlier, and this one shares what it counts.
        Ok(()) | Err(RedisSetupError::Exists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Arc::new(RedisCounters::connect(options, GENERATION).await?))
}

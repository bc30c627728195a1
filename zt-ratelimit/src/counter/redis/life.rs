//! How counters begin, and how they are rebuilt.

use std::sync::{Arc, atomic::AtomicI64};

use redis::Cmd;
use tokio::runtime::Handle;

use super::{
    RedisCounters, RedisOptions, RedisSetupError,
    inner::{Inner, refusal},
    keys::{self, BUCKETS},
    link::Link,
    queue::Queue,
    script::{Scripts, Step},
    words::{Words, garbled, percent},
};
use crate::{
    counter::{Claim, CounterError, check_subject},
    limit::{Limit, MAX_NANOS, ROLLING_SLOTS, Span, rolling_slot},
};

/// What a ledger says of one window of one budget. Several of the same window add up.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The root of the reservations.
    pub root: Arc<str>,
    /// The budget.
    pub limit: Arc<Limit>,
    /// Whose.
    pub subject: Arc<str>,
    /// The window, or the slot of a rolling one.
    pub span: Span,
    /// What was spent in it, in nano-units; what was held and not settled is spent.
    pub spent: u64,
}

impl RedisCounters {
    /// Begins counters in which nothing is spent.
    ///
    /// # Errors
    ///
    /// [`RedisSetupError::Exists`] where there are counters, or a part of them: nothing is changed
    /// then. Where the server cannot be reached or evicts keys.
    pub async fn initialise(options: RedisOptions, generation: u64) -> Result<(), RedisSetupError> {
        let this = Self::open(options, generation);
        let name = &this.0.generation;
        let mut set = redis::cmd("MSETNX");
        for bucket in 0..BUCKETS {
            set.arg(this.0.options.names.generation(bucket)).arg(name);
        }
        let mut calls = redis::pipe();
        calls.add_command(set);
        let (done,): (bool,) = this
            .0
            .link
            .plain(&calls)
            .await
            .map_err(CounterError::from)?;
        if !done {
            let there = this.generations().await?;
            let there = there.into_iter().flatten().next().unwrap_or_default();
            return Err(RedisSetupError::Exists(there.into()));
        }
        Ok(())
    }

    /// Counts in the counters of `generation`; settlements are carried out on the runtime that
    /// this is called on.
    ///
    /// # Errors
    ///
    /// [`CounterError::Uninitialised`] where they are not there, or of another generation. Where
    /// the server cannot be reached or evicts keys.
    pub async fn connect(options: RedisOptions, generation: u64) -> Result<Self, RedisSetupError> {
        let this = Self::open(options, generation);
        let name = Some(&this.0.generation);
        if this
            .generations()
            .await?
            .iter()
            .any(|there| there.as_ref() != name)
        {
            return Err(refusal("generation").into());
        }
        Ok(this)
    }

    /// Throws away what is counted and counts anew from a ledger, as `generation`. From the
    /// beginning on every step of other instances is refused with
    /// [`CounterError::Uninitialised`], and after the end too until they count in the new
    /// generation. Where it fails on the way, all refuse until it is done again.
    ///
    /// # Errors
    ///
    /// [`RedisSetupError::SameGeneration`] where the counters that are there have that number: of
    /// what was in flight a part would be counted in the new ones. Where an entry is not of a
    /// budget, or names a subject that cannot be; where somebody else rebuilds them meanwhile;
    /// where the server fails.
    pub async fn rebuild(
        options: RedisOptions,
        generation: u64,
        ledger: impl IntoIterator<Item = Entry>,
    ) -> Result<(), RedisSetupError> {
        let mut this = Self::open(options, generation);
        let next = this.0.generation.clone();
        if this.generations().await?.contains(&Some(next.clone())) {
            return Err(RedisSetupError::SameGeneration(generation));
        }
        let token = format!("rebuilding {}", this.0.token()?);
        // Nobody else has a handle to it yet.
        if let Some(inner) = Arc::get_mut(&mut this.0) {
            inner.generation = token;
        }
        this.clear().await?;
        let mut entries = ledger.into_iter().peekable();
        while entries.peek().is_some() {
            let calls: Result<Vec<_>, _> = entries
                .by_ref()
                .take(BATCH)
                .map(|entry| this.0.restore(&entry))
                .collect();
            this.all(calls?).await?;
        }
        let begin = |bucket| {
            let mut call = this.0.call(Step::Begin, bucket);
            call.arg(&next);
            call
        };
        this.all((0..BUCKETS).map(begin).collect()).await
    }

    fn open(options: RedisOptions, generation: u64) -> Self {
        let runtime = Handle::current();
        let link = Arc::new(Link::new(
            options.client.clone(),
            runtime.clone(),
            options.timeout,
            Scripts::new(options.shifted),
        ));
        let queue = Queue::start(
            Arc::clone(&link),
            Arc::clone(&options.clock),
            options.queue,
            options.longest_hold.saturating_add(options.grace),
            &runtime,
        );
        Self(Arc::new(Inner {
            options,
            // How keys are made is part of it: another layout finds nothing, and refuses.
            generation: format!("{LAYOUT}/{BUCKETS}/{generation}"),
            link,
            queue,
            ahead: AtomicI64::new(0),
        }))
    }

    async fn generations(&self) -> Result<Vec<Option<String>>, CounterError> {
        let mut calls = redis::pipe();
        for bucket in 0..BUCKETS {
            calls
                .cmd("GET")
                .arg(self.0.options.names.generation(bucket));
        }
        Ok(self.0.link.plain(&calls).await?)
    }

    /// Marks all buckets as being rebuilt, and removes everything else.
    async fn clear(&self) -> Result<(), CounterError> {
        let mut marks = redis::pipe();
        for bucket in 0..BUCKETS {
            let key = self.0.options.names.generation(bucket);
            marks.cmd("SET").arg(key).arg(&self.0.generation).ignore();
        }
        self.0.link.plain::<()>(&marks).await?;
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::pipe();
            scan.cmd("SCAN").arg(cursor);
            scan.arg("MATCH").arg(self.0.options.names.pattern());
            scan.arg("COUNT").arg(1000);
            let ((next, found),): ((u64, Vec<String>),) = self.0.link.plain(&scan).await?;
            let mut remove = redis::pipe();
            // By what comes after the tag: subjects may be named like these.
            let kept = |key: &str| {
                let after = key.split_once("}:").map(|(_, after)| after);
                matches!(after, Some("gen" | "shift"))
            };
            for key in found.iter().filter(|key| !kept(key)) {
                remove.cmd("UNLINK").arg(key).ignore();
            }
            if !remove.is_empty() {
                self.0.link.plain::<()>(&remove).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    async fn all(&self, calls: Vec<Cmd>) -> Result<(), RedisSetupError> {
        let mut pipeline = redis::pipe();
        for call in calls {
            pipeline.add_command(call);
        }
        pipeline.ignore_errors();
        let answers = self.0.link.ask_all(&pipeline).await;
        for answer in answers.map_err(CounterError::from)? {
            let mut words = Words::new(answer.map_err(CounterError::from)?);
            match words.next()?.as_str() {
                "restored" | "over" | "begun" => {}
                "generation" => return Err(RedisSetupError::Overtaken),
                _ => return Err(garbled().into()),
            }
        }
        Ok(())
    }
}

impl Inner {
    fn restore(&self, entry: &Entry) -> Result<Cmd, CounterError> {
        check_subject(&entry.root)?;
        check_subject(&entry.subject)?;
        let Some(budget) = entry.limit.as_budget() else {
            return Err(CounterError::Invalid("only a budget can be rebuilt"));
        };
        let claim = Claim {
            limit: &entry.limit,
            subject: &entry.subject,
        };
        let slot = budget.window().rolls_over().map_or(0, rolling_slot);
        let mut call = self.call(Step::Restore, keys::bucket(&entry.root));
        call.arg(keys::kind(entry.limit.kind()).to_string());
        call.arg(keys::family(entry.limit.kind()));
        call.arg(self.options.names.cell(&entry.root, claim));
        call.arg(keys::label(budget.window()));
        call.arg(entry.span.start.as_micros());
        call.arg(entry.span.end.as_micros());
        call.arg(budget.amount().nanos());
        call.arg(percent(budget.thresholds()));
        call.arg(slot * u64::from(ROLLING_SLOTS)).arg(slot);
        call.arg(entry.spent.min(MAX_NANOS));
        Ok(call)
    }
}

/// Of the keys and what is in them.
const LAYOUT: &str = "zt1";

const BATCH: usize = 500;

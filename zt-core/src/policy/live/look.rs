//! One look at what a policy is loaded from.

use std::{future::Future, sync::Arc, thread};

use tokio::sync::oneshot;

use super::{
    Reloaded,
    source::{Loaded, Mark, Source},
};
use crate::{
    clock::Timestamp,
    policy::{CompiledPolicy, PolicyErrors, PolicyOptions},
    state::{ConfigEvent, Event, Live},
};

/// What earlier looks found.
pub(super) struct Looks {
    enforced: Sight,
    candidate: Option<Sight>,
}

/// One policy, and where it comes from.
struct Sight {
    part: &'static str,
    source: Arc<dyn Source>,
    known: Loaded,
    /// What is taken if it is found again.
    settling: Option<Mark>,
    /// How many looks in a row have found something that the one before had not.
    restless: u32,
    /// What was told last of why it cannot be loaded.
    told: Option<Arc<str>>,
}

enum Found {
    Unchanged,
    Settling,
    Replaced,
}

impl Looks {
    /// Both have to be sound.
    pub(super) fn first(
        enforced: Arc<dyn Source>,
        candidate: Option<Arc<dyn Source>>,
        options: &PolicyOptions,
    ) -> Result<Self, PolicyErrors> {
        let candidate = candidate
            .map(|source| Sight::first("policy-candidate", source, options))
            .transpose()?;
        let enforced = Sight::first("policy", enforced, options)?;
        Ok(Self {
            enforced,
            candidate,
        })
    }

    pub(super) fn enforced(&self) -> Arc<dyn Source> {
        Arc::clone(&self.enforced.source)
    }

    /// What is in force, with what is tried beside it.
    pub(super) fn policy(&self) -> CompiledPolicy {
        let enforced = &self.enforced.known.policy;
        match &self.candidate {
            Some(candidate) => enforced.with_candidate(&candidate.known.policy),
            None => enforced.clone(),
        }
    }

    /// Looks at both; what is wrong with one keeps nothing from the other.
    pub(super) fn look(
        &mut self,
        live: &Live<CompiledPolicy>,
        options: &PolicyOptions,
        settles: bool,
    ) -> Result<Reloaded, PolicyErrors> {
        let enforced = self.enforced.look(options, settles);
        let candidate = match &mut self.candidate {
            Some(candidate) => candidate.look(options, settles),
            None => Ok(Found::Unchanged),
        };
        let mut found = Reloaded::Unchanged;
        for one in [&enforced, &candidate] {
            match one {
                Ok(Found::Replaced) => found = Reloaded::Replaced(0),
                Ok(Found::Settling) if found == Reloaded::Unchanged => found = Reloaded::Settling,
                _ => {}
            }
        }
        if found == Reloaded::Replaced(0) {
            let generation = live.swap(self.policy()).generation();
            found = Reloaded::Replaced(generation);
        } else if found == Reloaded::Unchanged && enforced.is_ok() && candidate.is_ok() {
            // While something else lies there, what is in force is not confirmed.
            live.confirm();
        }
        match enforced.and(candidate) {
            Ok(_) => Ok(found),
            Err(errors) => {
                live.failed(&errors);
                Err(errors)
            }
        }
    }
}

impl Sight {
    fn first(
        part: &'static str,
        source: Arc<dyn Source>,
        options: &PolicyOptions,
    ) -> Result<Self, PolicyErrors> {
        match source.load() {
            Ok(known) => {
                let sight = Self {
                    part,
                    source,
                    known,
                    settling: None,
                    restless: 0,
                    told: None,
                };
                sight.record_loaded(options);
                Ok(sight)
            }
            Err(errors) => {
                record(options, part, "refused", "".into(), errors.to_string());
                Err(errors)
            }
        }
    }

    fn look(&mut self, options: &PolicyOptions, settles: bool) -> Result<Found, PolicyErrors> {
        let found = self.compare(settles);
        match &found {
            Ok(Found::Replaced) => {
                self.told = None;
                self.record_loaded(options);
            }
            Ok(_) => self.told = None,
            Err(errors) => self.tell(errors, options),
        }
        found
    }

    fn compare(&mut self, settles: bool) -> Result<Found, PolicyErrors> {
        // Of the look before this one: what came between is none in a row.
        let before = self.settling.take();
        let restless = std::mem::take(&mut self.restless);
        if self.source.holds(&self.known) {
            return Ok(Found::Unchanged);
        }
        let loaded = self.source.load()?;
        if loaded.mark == self.known.mark {
            return Ok(Found::Unchanged);
        }
        if settles && before != Some(loaded.mark) {
            self.settling = Some(loaded.mark);
            self.restless = restless.saturating_add(1);
            if self.restless > PATIENCE {
                return Err(super::failed(RESTLESS));
            }
            return Ok(Found::Settling);
        }
        self.known = loaded;
        Ok(Found::Replaced)
    }

    fn record_loaded(&self, options: &PolicyOptions) {
        let policy = &self.known.policy;
        let rules = &policy.document().rules;
        let tried = rules.iter().filter(|rule| rule.dry_run).count();
        let detail = format!(
            "`{}`: {} rules, {tried} of them tried",
            policy.name(),
            rules.len()
        );
        tracing::info!(part = self.part, version = policy.version(), "{detail}");
        record(
            options,
            self.part,
            "loaded",
            policy.version().into(),
            detail,
        );
    }

    /// Once, for as long as it is the same.
    fn tell(&mut self, errors: &PolicyErrors, options: &PolicyOptions) {
        let text: Arc<str> = errors.to_string().into();
        if self.told.as_ref() == Some(&text) {
            return;
        }
        let stays = self.known.policy.version();
        tracing::warn!(part = self.part, stays, error = %text, "a policy was refused");
        let detail = format!("version `{stays}` stays in force: {text}");
        record(options, self.part, "refused", "".into(), detail);
        self.told = Some(text);
    }
}

/// How many looks in a row may find something new before it is an error: somebody saves twice.
const PATIENCE: u32 = 2;
const RESTLESS: &str = "each look has found something else, and nothing is taken that two looks in a \
                        row have not found: who writes it again and again?";

fn record(
    options: &PolicyOptions,
    part: &'static str,
    action: &'static str,
    version: Arc<str>,
    detail: String,
) {
    let Some(recorder) = &options.recorder else {
        return;
    };
    let event = ConfigEvent {
        at: options.clock.now().unwrap_or(Timestamp::EPOCH),
        part,
        action,
        version,
        detail: Some(detail),
    };
    recorder.record(Event::Config(event)).detach();
}

/// What `work` gives, on a thread of its own: requests may hold all those of the runtime, and a new
/// policy must not wait for them. Nothing where it panicked, or there was no thread for it.
pub(super) fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> + Send {
    let (done, outcome) = oneshot::channel();
    let work = move || drop(done.send(work()));
    drop(
        thread::Builder::new()
            .name("zt-policy".to_owned())
            .spawn(work),
    );
    async { outcome.await.ok() }
}

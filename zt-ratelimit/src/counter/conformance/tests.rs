use super::*;
use crate::counter::{Answer, HoldState, MemoryCounters};

#[tokio::test(flavor = "multi_thread")]
async fn counters_in_memory_pass() {
    run(&ManualHarness::new(|_| Arc::new(MemoryCounters::new()))).await;
}

/// What a store may get wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    AdmitsWhatDoesNotFit,
    HoldsWhatFits,
    SettlesTwice,
    SettlesForeignNames,
    ChargesTheHold,
    ReleasesAtTheEnd,
    GivesRatesBack,
    KeepsPermits,
    ExtendsBeyondTheLimit,
    ExtendsWithoutTime,
    MixesRoots,
    MixesLeases,
    TellsTwice,
    IgnoresGrants,
    ResetsWhatIsHeld,
    CrossesAgain,
    ListsBackwards,
}

#[derive(Debug)]
struct Broken {
    inner: MemoryCounters,
    fault: Fault,
    limits: std::sync::Mutex<Vec<(Arc<Limit>, String)>>,
    told: std::sync::Mutex<Vec<Expired>>,
}

fn got<T>(answer: Answer<T>) -> Result<T, CounterError> {
    match answer {
        Answer::Now(result) => result,
        Answer::Later(_) => Err(CounterError::Full),
    }
}

impl Broken {
    fn adjust_all(&self, now: Moment, rates: bool) {
        for (limit, subject) in self.limits.lock().unwrap().iter() {
            let rate = matches!(limit.kind(), crate::limit::Kind::Rate(_));
            if rate == rates {
                let claim = Claim { limit, subject };
                let _ = got(self.inner.adjust("acme", claim, &Adjust::Reset, now));
            }
        }
    }

    fn reserved(&self, ask: &Reserve<'_>) -> Result<Verdict, CounterError> {
        for claim in ask.claims {
            let known = (Arc::clone(claim.limit), claim.subject.to_owned());
            self.limits.lock().unwrap().push(known);
        }
        let mut ask = *ask;
        match self.fault {
            Fault::MixesRoots => ask.root = "acme",
            Fault::MixesLeases => ask.purpose = Purpose::Request,
            _ => {}
        }
        let verdict = got(self.inner.reserve(&ask))?;
        match (self.fault, &verdict) {
            (Fault::AdmitsWhatDoesNotFit, Verdict::Refused(refused)) => Ok(Verdict::Held(Held {
                hold: HoldId(1),
                standings: refused.standings.clone(),
                would_refuse: Marks::default(),
            })),
            (Fault::HoldsWhatFits, Verdict::Refused(refused)) => {
                let fits = |(place, _): &(usize, &Claim<'_>)| !refused.violated.has(*place);
                let some = ask.claims.iter().enumerate().filter(fits);
                let claims: Vec<Claim<'_>> = some.map(|(_, claim)| *claim).collect();
                let _ = got(self.inner.reserve(&Reserve {
                    claims: &claims,
                    ..ask
                }));
                Ok(verdict)
            }
            _ => Ok(verdict),
        }
    }

    fn settled(&self, hold: HoldId, how: Settle, now: Moment) -> Result<Settled, CounterError> {
        let how = match (self.fault, how) {
            (Fault::ChargesTheHold, Settle::Charge(_)) => Settle::ChargeHold,
            _ => how,
        };
        let hold = match self.fault {
            Fault::SettlesForeignNames => HoldId(hold.0 & !(1 << 127 | 1 << 100)),
            _ => hold,
        };
        if matches!(self.fault, Fault::KeepsPermits) && how == Settle::Release {
            let long = 100 * LONG;
            return match got(self.inner.extend(hold, 0, long, now))? {
                Extended::Done { held } => Ok(Settled {
                    counted: true,
                    held,
                    charged: 0,
                    budgets: Default::default(),
                }),
                _ => got(self.inner.settle(hold, how, now)),
            };
        }
        let mut settled = got(self.inner.settle(hold, how, now))?;
        match self.fault {
            Fault::SettlesTwice => settled.counted = true,
            Fault::GivesRatesBack => self.adjust_all(now, true),
            Fault::CrossesAgain => {
                for budget in &mut settled.budgets {
                    budget.crossed |= u8::from(budget.spent * 2 >= budget.limit);
                }
            }
            _ => {}
        }
        Ok(settled)
    }
}

impl CounterStore for Broken {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        Answer::Now(self.reserved(ask))
    }

    fn extend(&self, hold: HoldId, more: u64, life: Duration, now: Moment) -> Answer<Extended> {
        match self.fault {
            Fault::ExtendsWithoutTime => {
                self.inner.extend(hold, more, Duration::from_nanos(1), now)
            }
            Fault::ExtendsBeyondTheLimit => match got(self.inner.extend(hold, more, life, now)) {
                Ok(Extended::Refused(_)) => Answer::Now(Ok(Extended::Done { held: more })),
                other => Answer::Now(other),
            },
            _ => self.inner.extend(hold, more, life, now),
        }
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        Answer::Now(self.settled(hold, how, now))
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        self.inner.read(root, claims, now)
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        match (self.fault, how) {
            (Fault::IgnoresGrants, Adjust::Grant { .. }) => {
                let states = got(self.inner.read(root, &[claim], now));
                Answer::Now(states.map(|mut states| states.remove(0)))
            }
            (Fault::ResetsWhatIsHeld, Adjust::Reset) => {
                for hold in got(self.inner.holds(root, claim, 9, now)).unwrap() {
                    let _ = self.inner.settle(hold.hold, Settle::Release, now);
                }
                self.inner.adjust(root, claim, how, now)
            }
            _ => self.inner.adjust(root, claim, how, now),
        }
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        let mut holds = got(self.inner.holds(root, claim, at_most, now));
        if let (Fault::ListsBackwards, Ok(holds)) = (self.fault, &mut holds) {
            holds.reverse();
        }
        Answer::Now(holds)
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        let expired = got(self.inner.expire(at_most, now)).unwrap();
        let mut told = self.told.lock().unwrap();
        match self.fault {
            Fault::ReleasesAtTheEnd if !expired.is_empty() => self.adjust_all(now, false),
            Fault::TellsTwice if expired.is_empty() => {
                return Answer::Now(Ok(told.pop().into_iter().collect()));
            }
            _ => {}
        }
        told.extend(expired.iter().cloned());
        Answer::Now(Ok(expired))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_stores_do_not() {
    let faults = [
        Fault::AdmitsWhatDoesNotFit,
        Fault::HoldsWhatFits,
        Fault::SettlesTwice,
        Fault::SettlesForeignNames,
        Fault::ChargesTheHold,
        Fault::ReleasesAtTheEnd,
        Fault::GivesRatesBack,
        Fault::KeepsPermits,
        Fault::ExtendsBeyondTheLimit,
        Fault::ExtendsWithoutTime,
        Fault::MixesRoots,
        Fault::MixesLeases,
        Fault::TellsTwice,
        Fault::IgnoresGrants,
        Fault::ResetsWhatIsHeld,
        Fault::CrossesAgain,
        Fault::ListsBackwards,
    ];
    for fault in faults {
        let harness = ManualHarness::new(move |_| {
            Arc::new(Broken {
                inner: MemoryCounters::new(),
                fault,
                limits: Default::default(),
                told: Default::default(),
            })
        });
        let outcome = tokio::spawn(async move { run(&harness).await }).await;
        assert!(
            outcome.is_err_and(|error| error.is_panic()),
            "{fault:?} passed"
        );
    }
}

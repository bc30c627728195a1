//! Random walks over a key, its team and its organisation, each step compared with the model.

use proptest::prelude::*;

use super::{
    model::{Extension, Kind, Limited, Model, SECOND, State},
    *,
};

#[derive(Debug, Clone)]
enum Step {
    Reserve {
        key: usize,
        cost: u64,
        weight: u64,
        permits: u32,
        life: u64,
        lease: bool,
    },
    Extend {
        hold: usize,
        more: u64,
        life: u64,
    },
    Settle {
        hold: usize,
        how: Settle,
    },
    Expire(usize),
    Adjust {
        limit: usize,
        how: usize,
        amount: u64,
        secs: u64,
    },
    Advance(u64),
    Back(u64),
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let life = prop_oneof![
        Just(0_u64),
        1..5000_u64,
        1..2_000_000_u64,
        80_000_000..100_000_000_u64
    ];
    let settle = prop_oneof![
        Just(Settle::Release),
        Just(Settle::ChargeHold),
        (0..60_u64).prop_map(Settle::Charge),
    ];
    let advance = prop_oneof![
        5 => 1..3_000_u64,
        3 => 1..700_000_u64,
        2 => 1..4_000_000_u64,
        2 => 40_000_000..90_000_000_u64,
        1 => 2_000_000_000..3_000_000_000_u64,
    ];
    let step = prop_oneof![
        8 => (0..2_usize, 0..40_u64, 0..3_u64, 0..3_u32, life.clone(), prop::bool::weighted(0.2))
            .prop_map(|(key, cost, weight, permits, life, lease)| Step::Reserve {
                key, cost, weight, permits, life, lease
            }),
        3 => (0..40_usize, prop_oneof![Just(0), 0..30_u64], life)
            .prop_map(|(hold, more, life)| Step::Extend { hold, more, life }),
        5 => (0..40_usize, settle).prop_map(|(hold, how)| Step::Settle { hold, how }),
        1 => (1..6_usize).prop_map(Step::Expire),
        2 => (0..8_usize, 0..6_usize, 0..150_u64, 0..100_000_u64)
            .prop_map(|(limit, how, amount, secs)| Step::Adjust { limit, how, amount, secs }),
        5 => advance.prop_map(Step::Advance),
        1 => (1..200_000_u64).prop_map(Step::Back),
        2 => Just(Step::Read),
    ];
    proptest::collection::vec(step, 1..80)
}

struct Walk {
    shop: Shop,
    model: Model,
    /// By index in the model.
    limits: Vec<(Arc<Limit>, &'static str)>,
    /// By index in the model.
    names: Vec<HoldId>,
}

const MILLI: u64 = 1_000_000;

impl Walk {
    fn new() -> Self {
        let cents = |cents: u64| format!("0.{cents:09} USD");
        let day = budget("key-day", &cents(100), Window::day());
        let month = budget("team-month", &cents(400), Window::month());
        let length = Duration::from_secs(2400);
        let rolling = budget("org-rolling", &cents(150), Window::rolling(length).unwrap());
        let rate = Arc::new(
            Limit::rate("key-rate", 1, Duration::from_secs(1))
                .and_then(|rate| rate.burst(8))
                .unwrap(),
        );
        let seats = Arc::new(Limit::concurrency("key-seats", 4).unwrap());
        let mut limits = Vec::new();
        let mut model = Vec::new();
        for key in ["k0", "k1"] {
            for (limit, kind, most) in [
                (&day, Kind::Day, 100),
                (&rate, Kind::Rate(SECOND), 8),
                (&seats, Kind::Permits, 4),
            ] {
                limits.push((Arc::clone(limit), key));
                model.push(Limited::new(kind, most));
            }
        }
        limits.push((month, "team"));
        model.push(Limited::new(Kind::Month, 400));
        limits.push((rolling, "acme"));
        model.push(Limited::new(Kind::Rolling(2_400_000_000), 150));
        Self {
            shop: Shop::new(),
            model: Model {
                limits: model,
                holds: Vec::new(),
                wall: 0,
                nanos: 0,
            },
            limits,
            names: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.shop.now();
        self.model
            .at(now.wall.as_micros().into(), now.monotonic.as_nanos());
        match step {
            Step::Reserve {
                key,
                cost,
                weight,
                permits,
                life,
                lease,
            } => self.reserve(*key, (*cost, *weight, *permits), *life, *lease)?,
            Step::Extend { hold, more, life } => self.extend(*hold, *more, *life)?,
            Step::Settle { hold, how } => self.settle(*hold, *how)?,
            Step::Expire(at_most) => self.expire(*at_most)?,
            Step::Adjust {
                limit,
                how,
                amount,
                secs,
            } => self.adjust(*limit, *how, *amount, *secs)?,
            Step::Advance(millis) => {
                self.shop.clock.advance(Duration::from_millis(*millis));
                let now = self.shop.now();
                self.model
                    .at(now.wall.as_micros().into(), now.monotonic.as_nanos());
            }
            Step::Back(secs) => {
                let wall = self.shop.wall().saturating_sub(Duration::from_secs(*secs));
                self.shop.clock.set_wall(wall);
            }
            Step::Read => self.read()?,
        }
        self.invariant()
    }

    fn reserve(
        &mut self,
        key: usize,
        (cost, weight, permits): (u64, u64, u32),
        life: u64,
        lease: bool,
    ) -> Result<(), TestCaseError> {
        let used = [6, 3 * key, 3 * key + 1, 7, 3 * key + 2];
        let claims: Vec<_> = used
            .map(|limit| (&self.limits[limit].0, self.limits[limit].1))
            .into();
        let verdict = self.shop.ask(&claims, cost, |ask| {
            (ask.weight, ask.permits) = (weight, permits);
            ask.expires_in = Duration::from_millis(life);
            ask.purpose = if lease {
                Purpose::Lease
            } else {
                Purpose::Request
            };
        });
        let needs = (cost.into(), weight.into(), permits.into());
        let violated = self
            .model
            .reserve(&used, needs, u128::from(life * MILLI), lease);
        match verdict.unwrap() {
            Verdict::Held(held) => {
                prop_assert_eq!(violated, Vec::<usize>::new());
                self.names.push(held.hold);
            }
            Verdict::Refused(refused) => {
                prop_assert_eq!(refused.violated.places().collect::<Vec<_>>(), violated);
                for (standing, limit) in refused.standings.iter().zip(used) {
                    let most = self.model.limits[limit].limit(self.model.wall);
                    prop_assert_eq!(u128::from(standing.limit), most);
                    if self.model.limits[limit].is_budget() {
                        let left = most.saturating_sub(self.model.used(limit));
                        prop_assert_eq!(u128::from(standing.remaining), left);
                    }
                }
            }
        }
        Ok(())
    }

    fn extend(&mut self, hold: usize, more: u64, life: u64) -> Result<(), TestCaseError> {
        let Some(name) = self.names.get(hold).copied() else {
            return Ok(());
        };
        let span = Duration::from_millis(life);
        let now_ = self.shop.now();
        let extended = now(self.shop.store.extend(name, more, span, now_)).unwrap();
        let life = u128::from(life * MILLI);
        match (self.model.extend(hold, more.into(), life), extended) {
            (Extension::Done(all), Extended::Done { held }) => {
                prop_assert_eq!(u128::from(held), all);
            }
            (Extension::Refused(expected), Extended::Refused(refused)) => {
                prop_assert_eq!(refused.violated.places().collect::<Vec<_>>(), expected);
            }
            (Extension::Gone, Extended::Gone)
            | (Extension::Old, Extended::Gone | Extended::Refused(_)) => {}
            (Extension::Old, Extended::Done { .. }) => {
                self.model.extended(hold, more.into(), life);
            }
            (_, other) => prop_assert!(false, "{:?}", other),
        }
        Ok(())
    }

    fn settle(&mut self, hold: usize, how: Settle) -> Result<(), TestCaseError> {
        let Some(name) = self.names.get(hold).copied() else {
            return Ok(());
        };
        let settled = self.shop.settle(name, how);
        let held = self.model.holds[hold].amount;
        let actual = match how {
            Settle::Release => 0,
            Settle::ChargeHold => held,
            Settle::Charge(nanos) => nanos.into(),
        };
        prop_assert_eq!(settled.counted, self.model.settle(hold, actual));
        if settled.counted {
            prop_assert_eq!(u128::from(settled.held), held);
            prop_assert_eq!(u128::from(settled.charged), actual);
        }
        Ok(())
    }

    fn expire(&mut self, at_most: usize) -> Result<(), TestCaseError> {
        let expired = now(self.shop.store.expire(at_most, self.shop.now())).unwrap();
        let untold = self.model.untold();
        prop_assert_eq!(expired.len(), untold.len().min(at_most));
        for expired in expired {
            let hold = self.names.iter().position(|name| *name == expired.hold);
            let hold = hold.unwrap();
            prop_assert!(untold.contains(&hold), "{} was told of twice", hold);
            prop_assert_eq!(u128::from(expired.nanos), self.model.holds[hold].amount);
            self.model.tell(hold);
        }
        Ok(())
    }

    fn adjust(
        &mut self,
        limit: usize,
        how: usize,
        amount: u64,
        secs: u64,
    ) -> Result<(), TestCaseError> {
        let until = self.shop.wall() + Duration::from_secs(secs);
        let name: Arc<str> = if amount.is_multiple_of(2) { "a" } else { "b" }.into();
        let how = match how {
            0 => Adjust::Override {
                limit: amount,
                until: (!secs.is_multiple_of(3)).then_some(until),
            },
            1 => Adjust::ClearOverride,
            2 => Adjust::Grant {
                name,
                amount,
                until,
            },
            3 => Adjust::Revoke { name },
            4 => Adjust::Reset,
            _ => Adjust::Charge { nanos: amount },
        };
        let (of, subject) = &self.limits[limit];
        match self.shop.adjust(of, subject, &how) {
            Ok(_) => self.model.adjust(limit, &how),
            Err(_) => {
                let charge = matches!(how, Adjust::Charge { .. });
                prop_assert!(charge && !self.model.limits[limit].is_budget());
            }
        }
        Ok(())
    }

    /// All is said as the model says it.
    fn read(&self) -> Result<(), TestCaseError> {
        for (index, (limit, subject)) in self.limits.iter().enumerate() {
            let state = self.shop.read(limit, subject);
            let of = &self.model.limits[index];
            prop_assert_eq!(u128::from(state.limit), of.limit(self.model.wall));
            if of.is_budget() {
                let expected = (
                    self.model.spent(index),
                    self.model.held(index, false),
                    self.model.held(index, true),
                );
                let found = (state.spent.into(), state.held.into(), state.leased.into());
                prop_assert_eq!(found, expected, "{} of {}", limit.name(), subject);
                let span = state.span.unwrap();
                let wall = Timestamp::from_micros(u64::try_from(self.model.wall).unwrap());
                prop_assert!(span.contains(wall));
            } else if of.kind == Kind::Permits {
                prop_assert_eq!(u128::from(state.held), self.model.permits(index));
            }
        }
        Ok(())
    }

    /// Nothing above its limit that no settlement and no administrator took there, and the store
    /// never counts less than the model.
    fn invariant(&mut self) -> Result<(), TestCaseError> {
        let at = self.shop.now();
        for (index, (limit, subject)) in self.limits.iter().enumerate() {
            let claim = Claim { limit, subject };
            let found = u128::from(self.shop.store.0.peek("acme", claim, at));
            let expected = self.model.used(index);
            prop_assert!(
                found >= expected,
                "{} of {}: {} is counted of {}",
                limit.name(),
                subject,
                found,
                expected
            );
            let of = &mut self.model.limits[index];
            let most = match of.kind {
                Kind::Rate(interval) => of.limit(self.model.wall) * interval,
                _ => of.limit(self.model.wall),
            };
            if found <= most {
                of.excused = false;
            }
            prop_assert!(
                of.excused || found <= most,
                "{} of {}: {} of {}",
                limit.name(),
                subject,
                found,
                most
            );
        }
        let open = self
            .model
            .holds
            .iter()
            .filter(|hold| hold.state != State::Settled);
        prop_assert!(self.shop.store.live_holds() <= open.count());
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_step_of_a_random_walk_is_as_the_model_says(steps in steps()) {
        let mut walk = Walk::new();
        walk.take(&Step::Read)?;
        for step in &steps {
            walk.take(step)?;
        }
        walk.take(&Step::Read)?;
        // When all is settled nothing is held.
        for hold in 0..walk.names.len() {
            walk.take(&Step::Settle { hold, how: Settle::ChargeHold })?;
        }
        walk.take(&Step::Advance(10_000_000))?;
        walk.take(&Step::Expire(1000))?;
        walk.take(&Step::Expire(1000))?;
        walk.take(&Step::Read)?;
        prop_assert_eq!(walk.shop.store.live_holds(), 0);
        for shard in walk.shop.store.0.each(|shard| shard.holds.len()) {
            prop_assert_eq!(shard, 0);
        }
    }
}

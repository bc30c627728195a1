//! limitador's storage in memory, which reserves and commits too.

use std::{collections::HashMap, time::Duration};

use limitador::{
    RateLimiter,
    limit::{Context, Limit, Namespace},
};
use zt_benches::{Group, Kind, Outcome};

pub(crate) fn add(group: &mut Group) -> Outcome {
    let names = ["acme", "search", "acme-key-1", "acme-key-1"];
    let variables = ["org", "team", "key", "caller"];
    let plenty = 1_u64 << 52;
    for (count, name) in [
        (1, "limitador 0.14, one limit, check and update"),
        (4, "limitador 0.14, four limits, reserve and commit"),
    ] {
        let limiter = RateLimiter::new(10_000);
        for variable in variables.iter().skip(4 - count) {
            let counted = vec![(*variable).try_into()?];
            limiter.add_limit(Limit::new("bench", plenty, 86_400, vec![], counted));
        }
        let namespace: Namespace = "bench".into();
        let values: HashMap<String, String> = variables
            .iter()
            .zip(names)
            .map(|(variable, name)| ((*variable).to_owned(), name.to_owned()))
            .collect();
        group.function(Kind::Peer, name, "its own clock", move || {
            let context = Context::from(values.clone());
            if count == 1 {
                let checked = limiter.check_rate_limited_and_update(&namespace, &context, 1);
                return checked.is_ok_and(|checked| !checked.limited);
            }
            let hold = Some(Duration::from_secs(60));
            let Ok(reserved) = limiter.reserve(&namespace, &context, 1000, hold) else {
                return false;
            };
            let id = reserved.reservation_id.as_ref();
            !reserved.limited
                && limiter
                    .commit_reservation(&namespace, &context, id, 500)
                    .is_ok()
        });
    }
    Ok(())
}

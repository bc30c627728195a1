//! `VerifyJwt` beside four other verifiers and the bare signatures.

mod floors;
mod mint;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::{io::Write, rc::Rc};

use http::StatusCode;
use zt_benches::{Bar, BenchError, Group, Kind, Measured, Options, Outcome, Report, Template};

use self::{
    floors::{SIGNATURE, SIGNATURES},
    ours::{COLD, FORGED, HIT, MISSING},
};
pub(crate) use self::{
    mint::{Flaw, Kty, Mint, bearing},
    ours::verifier,
};
use crate::bare::{AXUM, router};

pub(crate) type Answered<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Many more than the cache holds that they go through: each is gone when its turn comes again.
const TOKENS: usize = 4_096;

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("jwt")?;
    if cfg!(not(feature = "peers")) {
        report.line("Without other verifiers: they are there with `--features peers`.")?;
    }
    let mut around = Group::new("around a bare service");
    for kty in Kty::ALL {
        let mint = Mint::new(kty)?;
        let requests = Requests::new(&mint)?;
        one(&mint, &requests, options, report)?;
        ours::bare(&mut around, &mint, &requests)?;
    }
    report.group(&around.measure(options)?)?;
    floors::cache(options, report)
}

/// What a verifier is asked.
struct Requests {
    good: Template,
    forged: Template,
    others: Vec<Template>,
    rotation: Rc<[Template]>,
}

impl Requests {
    fn new(mint: &Mint) -> Answered<Self> {
        let flawed = |flaw| {
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(bearing(&mint.token(0, flaw)?)?)
        };
        let others = [Flaw::Issuer, Flaw::Audience, Flaw::Expired, Flaw::NotYet];
        let rotation: Vec<Template> = (1..=TOKENS)
            .map(|number| Ok(bearing(&mint.token(number, Flaw::None)?)?))
            .collect::<Answered<_>>()?;
        Ok(Self {
            good: flawed(Flaw::None)?,
            forged: flawed(Flaw::Signature)?,
            others: others
                .into_iter()
                .map(flawed)
                .chain([Ok(Template::get("/orders"))])
                .collect::<Answered<_>>()?,
            rotation: rotation.into(),
        })
    }

    /// What nobody may let in.
    fn refused(&self) -> Vec<(&Template, StatusCode)> {
        self.others
            .iter()
            .chain([&self.forged])
            .map(|template| (template, StatusCode::UNAUTHORIZED))
            .collect()
    }
}

fn one(
    mint: &Mint,
    requests: &Requests,
    options: &Options,
    report: &mut Report<impl Write>,
) -> Outcome {
    let good = (&requests.good, StatusCode::OK);
    let name = mint.kty.as_str();
    let length = mint.token(0, Flaw::None)?.len();

    let mut group = Group::new(format!("{name}, a token of {length} bytes, through axum"));
    group.service(Kind::Base, AXUM, "no check", router(), good, &[])?;
    floors::signature(&mut group, mint, &requests.good)?;
    #[cfg(feature = "peers")]
    peers::add(&mut group, mint, requests)?;

    ours::add(&mut group, mint, requests)?;

    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_none() {
        bars(mint.kty, &measured, report)?;
    }
    Ok(())
}

fn bars(kty: Kty, measured: &Measured, report: &mut Report<impl Write>) -> Result<(), BenchError> {
    let name = kty.as_str();
    let at_most = match kty {
        Kty::Hs256 => 3_000.0,
        _ => 5_000.0,
    };
    for (row, floor) in [
        (COLD, SIGNATURE),
        (MISSING, SIGNATURES),
        (FORGED, SIGNATURE),
    ] {
        report.bar(Bar::new(
            format!("{name}: {row}, over axum and the bare signature"),
            report.nanos(at_most),
            measured.beyond(row, AXUM, floor)?,
        ));
    }
    let hit = measured.over(HIT, AXUM)?;
    report.bar(Bar::new(
        format!("{name}: {HIT}, over axum"),
        report.nanos(1_500.0),
        hit,
    ));
    #[cfg(feature = "peers")]
    {
        use zt_benches::Limit;

        let mut quickest = f64::INFINITY;
        let mut closest: f64 = 0.0;
        for (peer, _) in peers::names(kty) {
            quickest = quickest.min(measured.over(peer, AXUM)?);
            closest = closest.max(measured.ratio(COLD, peer)?);
        }
        report.bar(Bar::new(
            format!("{name}: {COLD}, against the quickest peer"),
            Limit::Times(1.0),
            closest,
        ));
        report.bar(Bar::new(
            format!("{name}: the quickest peer over axum, in those of {HIT}"),
            Limit::AtLeast(if kty == Kty::Hs256 { 4.0 } else { 25.0 }),
            quickest / hit,
        ));
    }
    Ok(())
}

use std::{borrow::Cow, cell::Cell, fmt, hint::black_box, rc::Rc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rustix::time::{ClockId, clock_gettime};
use tower::Service;

use crate::{
    Answer, BenchError, Options, Template,
    allocations::Allocations,
    drive,
    numbers::{median, quantile},
    shows,
};

/// What a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the others are compared with: no layer.
    Base,
    /// The least that could do the work.
    Floor,
    /// Somebody else's.
    Peer,
    /// This project's.
    Zt,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Floor => "floor",
            Self::Peer => "peer",
            Self::Zt => "zt",
        }
    }
}

struct Candidate {
    kind: Kind,
    name: &'static str,
    note: &'static str,
    batch: Box<dyn FnMut(u64)>,
    /// What the last batch took, where the candidate is a part of what it does.
    part: Rc<Cell<Option<Duration>>>,
    /// Calls that were not answered as they should be while they were timed.
    astray: Rc<Cell<u64>>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Candidates that are measured against one another.
#[derive(Debug)]
pub struct Group {
    title: Cow<'static, str>,
    candidates: Vec<Candidate>,
}

impl Group {
    /// A group without candidates; the first one of [`Kind::Base`] is its base.
    #[must_use]
    pub fn new(title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            title: title.into(),
            candidates: Vec::new(),
        }
    }

    /// A candidate that is a plain function; what it gives is kept from the optimizer.
    pub fn function<T>(
        &mut self,
        kind: Kind,
        name: &'static str,
        note: &'static str,
        mut call: impl FnMut() -> T + 'static,
    ) {
        self.push(kind, name, note, move || {
            black_box(call());
            true
        });
    }

    /// A candidate that is a part of what `call` does: it says itself, by [`thread_time`], what that
    /// took. What it allocates is counted as a whole.
    pub fn part(
        &mut self,
        kind: Kind,
        name: &'static str,
        note: &'static str,
        mut call: impl FnMut() -> Duration + 'static,
    ) {
        let part = Rc::new(Cell::new(None));
        self.candidates.push(Candidate {
            kind,
            name,
            note,
            astray: Rc::default(),
            part: Rc::clone(&part),
            batch: Box::new(move |calls| part.set(Some((0..calls).map(|_| call()).sum()))),
        });
    }

    fn push(
        &mut self,
        kind: Kind,
        name: &'static str,
        note: &'static str,
        mut call: impl FnMut() -> bool + 'static,
    ) {
        let astray = Rc::new(Cell::new(0));
        self.candidates.push(Candidate {
            kind,
            name,
            note,
            astray: Rc::clone(&astray),
            part: Rc::default(),
            batch: Box::new(move |calls| {
                let mut wrong = 0;
                for _ in 0..calls {
                    wrong += u64::from(!call());
                }
                astray.set(astray.get() + wrong);
            }),
        });
    }

    /// A candidate that answers `template` with `expected`, from making the request to the end
    /// of the response; `refused` are requests that it must answer otherwise.
    ///
    /// # Errors
    ///
    /// [`BenchError::Claim`] where it does not do so.
    pub fn service<S, R>(
        &mut self,
        kind: Kind,
        name: &'static str,
        note: &'static str,
        mut service: S,
        (template, expected): (&Template, StatusCode),
        refused: &[(&Template, StatusCode)],
    ) -> Result<(), BenchError>
    where
        S: Service<Request<Body>, Response = Response<R>> + 'static,
        R: http_body::Body<Data = Bytes>,
    {
        shows(name, &mut service, template, expected)?;
        for (template, status) in refused {
            shows(name, &mut service, template, *status)?;
        }
        let template = template.clone();
        self.push(kind, name, note, move || {
            let answer = drive(&mut service, black_box(&template).request());
            black_box(answer) == Answer::Response(expected)
        });
        Ok(())
    }

    /// A candidate that answers each of `templates` with `expected`, one after another and over
    /// again.
    ///
    /// # Errors
    ///
    /// [`BenchError::Claim`] where it does not do so.
    pub fn in_turn<S, R>(
        &mut self,
        kind: Kind,
        name: &'static str,
        note: &'static str,
        mut service: S,
        templates: &Rc<[Template]>,
        expected: StatusCode,
    ) -> Result<(), BenchError>
    where
        S: Service<Request<Body>, Response = Response<R>> + 'static,
        R: http_body::Body<Data = Bytes>,
    {
        for template in templates.iter() {
            shows(name, &mut service, template, expected)?;
        }
        let templates = Rc::clone(templates);
        let mut next = 0;
        self.push(kind, name, note, move || {
            let Some(template) = templates.get(next) else {
                return false;
            };
            next = (next + 1) % templates.len();
            let answer = drive(&mut service, black_box(template).request());
            black_box(answer) == Answer::Response(expected)
        });
        Ok(())
    }

    /// Measures all candidates.
    ///
    /// # Errors
    ///
    /// [`BenchError::Claim`] where one did something else while it was timed.
    pub fn measure(mut self, options: &Options) -> Result<Measured, BenchError> {
        if let Some(only) = &options.only {
            self.candidates.retain(|candidate| candidate.name == only);
        }
        let calls: Vec<u64> = self
            .candidates
            .iter_mut()
            .map(|candidate| calibrate(candidate, options.batch))
            .collect();
        let mut rows: Vec<Row> = self
            .candidates
            .iter_mut()
            .map(|candidate| Row {
                kind: candidate.kind,
                name: candidate.name,
                note: candidate.note,
                allocations: Allocations::of(&mut candidate.batch, 1_000),
                runs: Vec::new(),
            })
            .collect();
        for _ in 0..options.runs {
            let mut samples = vec![Vec::with_capacity(options.rounds); rows.len()];
            for round in 0..options.rounds {
                // Each round begins with another candidate: none always follows the same one.
                let first = round % self.candidates.len().max(1);
                let order = (first..self.candidates.len()).chain(0..first);
                for index in order {
                    if let (Some(candidate), Some(calls), Some(samples)) = (
                        self.candidates.get_mut(index),
                        calls.get(index),
                        samples.get_mut(index),
                    ) {
                        samples.push(time(candidate, *calls));
                    }
                }
            }
            for (row, samples) in rows.iter_mut().zip(samples) {
                row.runs.push(samples);
            }
        }
        for candidate in &self.candidates {
            if candidate.astray.get() > 0 {
                return Err(BenchError::Claim {
                    candidate: candidate.name.to_owned(),
                    expected: "the same answer throughout".to_owned(),
                    found: format!("{} other ones", candidate.astray.get()),
                });
            }
        }
        Ok(Measured {
            title: self.title,
            rows,
        })
    }
}

/// How many calls fill `batch`; warms the candidate up as well.
fn calibrate(candidate: &mut Candidate, batch: Duration) -> u64 {
    let mut calls: u64 = 16;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    while calls < 1 << 24 && time(candidate, calls) * (calls as f64) < batch.as_nanos() as f64 {
        calls *= 2;
    }
    calls
}

/// Nanoseconds a call.
fn time(candidate: &mut Candidate, calls: u64) -> f64 {
    let before = thread_time();
    (candidate.batch)(calls);
    let whole = thread_time().saturating_sub(before);
    let took = candidate.part.take().unwrap_or(whole);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let each = took.as_nanos() as f64 / calls as f64;
    each
}

/// What this thread has used of a processor: a neighbour that takes the processor away in the
/// middle of a batch is not counted.
#[must_use]
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) allocations: Allocations,
    /// Nanoseconds a call: one list a run, one entry a round.
    pub(crate) runs: Vec<Vec<f64>>,
}

impl Row {
    pub(crate) fn medians(&self) -> Vec<f64> {
        self.runs.iter().map(|run| median(run)).collect()
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.medians())
    }

    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let each: Vec<f64> = self.runs.iter().map(|run| quantile(run, share)).collect();
        median(&each)
    }

    /// Half the spread of the runs' medians, as a share of the median.
    pub(crate) fn spread(&self) -> Option<f64> {
        let medians = self.medians();
        let spread = quantile(&medians, 1.0) - quantile(&medians, 0.0);
        (medians.len() > 1).then(|| spread / 2.0 / self.median())
    }

    /// The median, over runs, of the median of `combine` over rounds.
    pub(crate) fn per_round(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> f64 {
        let runs: Vec<f64> = self
            .rounds(other, combine)
            .iter()
            .map(|rounds| median(rounds))
            .collect();
        median(&runs)
    }

    fn rounds(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Vec<Vec<f64>> {
        let rounds = |(mine, theirs): (&Vec<f64>, &Vec<f64>)| {
            mine.iter()
                .zip(theirs)
                .map(|(mine, theirs)| combine(*mine, *theirs))
                .collect()
        };
        self.runs.iter().zip(&other.runs).map(rounds).collect()
    }
}

/// A group with its figures.
#[derive(Debug)]
pub struct Measured {
    pub(crate) title: Cow<'static, str>,
    pub(crate) rows: Vec<Row>,
}

impl Measured {
    fn row(&self, name: &str) -> Result<&Row, BenchError> {
        self.rows
            .iter()
            .find(|row| row.name == name)
            .ok_or_else(|| BenchError::Candidate(name.to_owned()))
    }

    pub(crate) fn base(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.kind == Kind::Base)
    }

    /// The median time of `name`, in nanoseconds.
    ///
    /// # Errors
    ///
    /// [`BenchError::Candidate`] where there is no such candidate.
    pub fn median(&self, name: &str) -> Result<f64, BenchError> {
        Ok(self.row(name)?.median())
    }

    /// How many times `other` it takes `name`: the median of the per-round ratios.
    ///
    /// # Errors
    ///
    /// [`BenchError::Candidate`] where one of them is not there.
    pub fn ratio(&self, name: &str, other: &str) -> Result<f64, BenchError> {
        let (mine, theirs) = (self.row(name)?, self.row(other)?);
        Ok(mine.per_round(theirs, |mine, theirs| mine / theirs))
    }

    /// What `name` takes over `other`, in nanoseconds: the median of the per-round differences.
    ///
    /// # Errors
    ///
    /// [`BenchError::Candidate`] where one of them is not there.
    pub fn over(&self, name: &str, other: &str) -> Result<f64, BenchError> {
        let (mine, theirs) = (self.row(name)?, self.row(other)?);
        Ok(mine.per_round(theirs, |mine, theirs| mine - theirs))
    }

    /// What `name` takes over `base` and `floor` together, in nanoseconds: the median of the
    /// per-round differences.
    ///
    /// # Errors
    ///
    /// [`BenchError::Candidate`] where one of them is not there.
    pub fn beyond(&self, name: &str, base: &str, floor: &str) -> Result<f64, BenchError> {
        let (mine, base) = (self.row(name)?, self.row(base)?);
        let over = Row {
            runs: mine.rounds(base, |mine, base| mine - base),
            ..mine.clone()
        };
        Ok(over.per_round(self.row(floor)?, |over, floor| over - floor))
    }

    /// The allocations of `name` beyond those of `other`.
    ///
    /// # Errors
    ///
    /// [`BenchError::Candidate`] where one of them is not there.
    pub fn allocations_over(&self, name: &str, other: &str) -> Result<f64, BenchError> {
        let (mine, theirs) = (self.row(name)?, self.row(other)?);
        Ok(mine.allocations.count - theirs.allocations.count)
    }
}

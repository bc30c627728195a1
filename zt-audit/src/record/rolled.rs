//! What has no record of its own: refusals beyond the first, and what had no place in the queue.
//!
//! A `rolled-up` record has, in the clear, how many decisions were made by code (`denied`, and
//! `undecided`) and how many `outcomes` belong to them, and in `sealed` the same by source
//! (`sources`), about whoever came without a name on that day: addresses are personal. The members of
//! `sources` add up to those in the clear, so that the counts stay exact when the day is forgotten.
//! `lost_decisions` and `lost_outcomes` are of requests whose handler ran.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr};

use zt_core::{clock::Timestamp, decision::Code, state::Event};

use super::{Chain, json::Object, time_of};
use crate::{
    merkle::Hash,
    seal::{DataSubject, VaultError},
};

/// What one `rolled-up` record says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RolledUp {
    refusals: Vec<Refusals>,
    lost: Lost,
}

/// Refusals that are counted, of one source and for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) source: Source,
    /// `None`: no decision was made.
    pub(crate) code: Option<Code>,
    pub(crate) decisions: u64,
    pub(crate) outcomes: u64,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// Where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    V4(Ipv4Addr),
    /// The first half of an address.
    V6([u16; 4]),
    /// The server did not say.
    Unknown,
    /// More sources than are told apart.
    Others,
}

/// What had no place in the queue of requests whose handler ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lost {
    span: Option<(Timestamp, Timestamp)>,
    decisions: u64,
    outcomes: u64,
}

/// Most sources of a record. The longest comes to 170 bytes of text, and to 227 in base64.
const ROWS: usize = 256;

impl RolledUp {
    /// `refusals`, so many in each as a record holds, the earliest first. Those of a record are of one
    /// day.
    pub(crate) fn pieces(mut refusals: Vec<Refusals>) -> Vec<Self> {
        refusals.sort_unstable_by_key(|one| (one.from, one.source, one.code));
        let day = |one: &Refusals| one.from.as_secs() / 86_400;
        let days = refusals.chunk_by(|one, next| day(one) == day(next));
        days.flat_map(|day| day.chunks(ROWS))
            .map(|some| Self {
                refusals: some.to_vec(),
                lost: Lost::default(),
            })
            .collect()
    }

    /// The refusals that it counts.
    #[cfg(test)]
    pub(crate) fn refusals(&self) -> &[Refusals] {
        &self.refusals
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.refusals.is_empty() && self.lost.span.is_none()
    }

    /// Counts an event of a request whose handler ran.
    pub(crate) fn lose(&mut self, event: &Event) {
        self.lost.span = Some(widened(self.lost.span, time_of(event), time_of(event)));
        match event {
            Event::Decision(_) => self.lost.decisions += 1,
            _ => self.lost.outcomes += 1,
        }
    }

    /// How many events of requests whose handler ran are counted.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost.decisions + self.lost.outcomes
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let refusals = self.refusals.iter();
        refusals.fold(self.lost.span, |span, one| {
            Some(widened(span, one.from, one.to))
        })
    }

    fn clear(&self, record: &mut Object<'_>) {
        let span = self.span();
        record.time("from", span.map(|(from, _)| from));
        record.time("to", span.map(|(_, to)| to));
        let mut denied = BTreeMap::<&str, u64>::new();
        let (mut undecided, mut outcomes) = (0, 0);
        for one in &self.refusals {
            outcomes += one.outcomes;
            match one.code {
                Some(code) => *denied.entry(code.as_str()).or_default() += one.decisions,
                None => undecided += one.decisions,
            }
        }
        denied.retain(|_, count| *count > 0);
        record.numbers("denied", denied.into_iter(), Code::ALL.len());
        record.number("undecided", undecided);
        record.number("outcomes", outcomes);
        record.number("lost_decisions", self.lost.decisions);
        record.number("lost_outcomes", self.lost.outcomes);
    }

    fn sources(&self, record: &mut Object<'_>) {
        record.objects("sources", self.refusals.iter(), |row, one| {
            row.ascii("source", one.source);
            row.word("code", one.code.map_or("undecided", Code::as_str));
            row.number("decisions", one.decisions);
            row.number("outcomes", one.outcomes);
            row.time("from", Some(one.from));
            row.time("to", Some(one.to));
        });
    }
}

fn widened(
    span: Option<(Timestamp, Timestamp)>,
    from: Timestamp,
    to: Timestamp,
) -> (Timestamp, Timestamp) {
    let (first, last) = span.unwrap_or((from, to));
    (first.min(from), last.max(to))
}

/// `192.0.2.7`, `2001:db8:0:1::/64`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6([a, b, c, d]) => {
                let network = std::net::Ipv6Addr::new(*a, *b, *c, *d, 0, 0, 0, 0);
                write!(f, "{network}/64")
            }
            Self::Unknown => f.write_str("unknown"),
            Self::Others => f.write_str("others"),
        }
    }
}

impl Chain {
    /// Writes what has no record of its own.
    pub(crate) fn append_rolled_up(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        rolled: &RolledUp,
    ) -> Result<Hash, VaultError> {
        self.append(out, "rolled-up", at, |record| {
            rolled.clear(&mut record.clear());
            match rolled.refusals.first() {
                Some(first) => record.about(DataSubject::Anonymous(first.from), |sealed| {
                    rolled.sources(sealed);
                }),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use serde_json::Value;
    use zt_core::random::SeededEntropy;

    use super::*;
    use crate::{
        seal::{Vault, VaultOptions},
        storage::simulated::SimulatedDisk,
    };

    /// The longest there is.
    fn widest(index: u16) -> Refusals {
        let longest = Code::ALL.iter().max_by_key(|code| code.as_str().len());
        Refusals {
            source: Source::V6([0xffff, 0xffff, 0xffff, index]),
            code: longest.copied(),
            decisions: 1 << 53,
            outcomes: 1 << 53,
            from: Timestamp::from_micros(u64::MAX),
            to: Timestamp::from_micros(u64::MAX),
        }
    }

    fn written(rolled: &RolledUp) -> Value {
        let origin = "log/".repeat(64).into();
        let mut chain = Chain::new(origin, 0, Hash::from_bytes([0; 32]), None);
        let mut out = Vec::new();
        let at = Timestamp::from_secs(1);
        chain.append_rolled_up(&mut out, at, rolled).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_record_holds_the_widest_sources_sealed() {
        let pieces = RolledUp::pieces((0..=u16::MAX).map(widest).collect());
        assert_eq!(pieces.len(), 256);
        let [piece, ..] = &pieces[..] else {
            panic!("pieces")
        };
        let record = written(piece);
        assert_eq!(record["sources"].as_array().unwrap().len(), ROWS);
        let sealed = record["sources"].to_string().len() * 4 / 3;
        // Nonce, tag, pseudonym, brackets; and every code in the clear.
        let clear = written(&RolledUp::default()).to_string().len();
        let codes: usize = Code::ALL.iter().map(|code| code.as_str().len() + 20).sum();
        let whole = sealed + clear + codes + 200;
        assert!(whole <= crate::record::MAX_RECORD, "{whole}");
    }

    /// Addresses are for whoever has the vault, and for nobody once the day is forgotten; the counts
    /// by reason stay.
    #[test]
    fn sources_are_sealed_under_the_key_of_the_day() {
        let disk = SimulatedDisk::new(1);
        let options = VaultOptions::default().entropy(SeededEntropy::new(5));
        let vault = Arc::new(Vault::with_storage(Arc::new(disk), options).unwrap());
        let (origin, zeros) = ("log/1".into(), Hash::from_bytes([0; 32]));
        let mut chain = Chain::new(origin, 0, zeros, Some(Arc::clone(&vault)));
        let pieces = RolledUp::pieces((0..256).map(widest).collect());
        let mut line = Vec::new();
        let at = Timestamp::from_secs(1);
        chain.append_rolled_up(&mut line, at, &pieces[0]).unwrap();
        vault.commit().unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(line.len() <= crate::record::MAX_RECORD, "{}", line.len());
        let clear: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            (clear.get("sources"), &clear["fields_sha256"]),
            (None, &Value::Null)
        );
        let text = String::from_utf8(line.clone()).unwrap();
        assert!(!text.contains("ffff:"));
        let opened = Value::Object(crate::open_record(&line, &vault).unwrap());
        assert_eq!(opened["sources"].as_array().unwrap().len(), ROWS);
        assert_eq!(opened["sources"][7]["source"], "ffff:ffff:ffff:7::/64");

        let day = DataSubject::Anonymous(pieces[0].refusals[0].from);
        assert_eq!(vault.forget(day).unwrap().keys, 1);
        let forgotten = Value::Object(crate::open_record(&line, &vault).unwrap());
        assert_eq!(forgotten.get("sources"), None);
        assert_eq!(forgotten["denied"], clear["denied"]);
        assert_eq!(forgotten["erased"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn days_have_records_of_their_own_since_they_are_forgotten_apart() {
        let on = |secs: u64, host| Refusals {
            source: Source::V4(Ipv4Addr::new(192, 0, 2, host)),
            code: None,
            decisions: 1,
            outcomes: 0,
            from: Timestamp::from_secs(secs),
            to: Timestamp::from_secs(secs + 9),
        };
        let day = 86_400;
        let pieces = RolledUp::pieces(vec![on(day, 1), on(day - 1, 2), on(day - 2, 3)]);
        let spans: Vec<_> = pieces.iter().map(RolledUp::span).collect();
        let span = |from, to| Some((Timestamp::from_secs(from), Timestamp::from_secs(to)));
        assert_eq!(spans, [span(day - 2, day + 8), span(day, day + 9)]);
        assert!(RolledUp::pieces(Vec::new()).is_empty());
    }

    #[test]
    fn sources_are_printed_as_networks() {
        let record = written(&RolledUp {
            refusals: [
                Source::V4(Ipv4Addr::new(192, 0, 2, 7)),
                Source::V6([0x2001, 0xdb8, 0, 1]),
                Source::Unknown,
                Source::Others,
            ]
            .map(|source| Refusals {
                source,
                code: Some(Code::RateLimited),
                ..widest(0)
            })
            .to_vec(),
            lost: Lost::default(),
        });
        let sources = record["sources"].as_array().unwrap();
        let sources: Vec<_> = sources.iter().map(|one| &one["source"]).collect();
        assert_eq!(
            sources,
            ["192.0.2.7", "2001:db8:0:1::/64", "unknown", "others"]
        );
    }
}

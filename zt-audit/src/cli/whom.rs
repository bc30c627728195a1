//! A person, found in records by pseudonym.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Io, failure::Failure, line, opening, progress::Meter, reading};
use crate::{
    read::Entry,
    seal::{DataSubject, Pseudonym, Vault},
};

/// Somebody by name, and by who vouches for it where that was said.
///
/// Records name the issuer in clear. Where none was asked for, a record is theirs under whichever
/// issuer it names.
#[derive(Debug)]
pub(super) struct Whom<'a> {
    subject: &'a str,
    issuer: Option<&'a str>,
    known: Vec<(Option<String>, Vec<Pseudonym>)>,
}

/// Issuers whose pseudonyms are kept; a log has few.
const KEPT: usize = 64;
/// Issuers that are told of.
const TOLD: usize = 8;

impl<'a> Whom<'a> {
    pub(super) const fn new(subject: &'a str, issuer: Option<&'a str>) -> Self {
        Self {
            subject,
            issuer,
            known: Vec::new(),
        }
    }

    /// For the log and the vault.
    pub(super) const fn subject(&self) -> DataSubject<'a> {
        DataSubject::Principal {
            issuer: self.issuer,
            subject: self.subject,
        }
    }

    /// Whether a record is about them, as far as that may still be known: a part whose key was
    /// destroyed is nobody's.
    pub(super) fn is_in(
        &mut self,
        entry: &Entry,
        fields: &Map<String, Value>,
        vault: Option<&Vault>,
    ) -> Result<bool, Failure> {
        // A log that keeps personal fields in clear.
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        if text("subject") == Some(self.subject)
            && self
                .issuer
                .is_none_or(|issuer| text("issuer") == Some(issuer))
        {
            return Ok(true);
        }
        let parts: Vec<Pseudonym> = line::sealed(fields)
            .filter_map(|digits| Pseudonym::from_hex(digits.as_bytes()))
            .collect();
        if parts.is_empty() {
            return Ok(false);
        }
        let Some(vault) = vault else {
            return Err(Failure::cannot(
                "whom a sealed record is about only the vault can tell: name its folder with `--open`",
            ));
        };
        let issuer = self.issuer.or_else(|| text("issuer"));
        let theirs = self.pseudonyms(issuer, vault);
        if !parts.iter().any(|who| theirs.contains(who)) {
            return Ok(false);
        }
        let opened = opening::opened(&entry.bytes, vault)?;
        let erased: Vec<&str> = line::erased(&opened).collect();
        Ok(parts
            .iter()
            .filter(|who| theirs.contains(who))
            .any(|who| !erased.contains(&who.to_string().as_str())))
    }

    fn pseudonyms(&mut self, issuer: Option<&str>, vault: &Vault) -> Vec<Pseudonym> {
        if let Some((_, known)) = self
            .known
            .iter()
            .find(|(name, _)| name.as_deref() == issuer)
        {
            return known.clone();
        }
        let found = vault.pseudonyms(DataSubject::Principal {
            issuer,
            subject: self.subject,
        });
        if self.known.len() < KEPT {
            self.known.push((issuer.map(str::to_owned), found.clone()));
        }
        found
    }

    /// Refuses where the name stands in the log under an issuer that was not named: what is sealed
    /// for that one would be left.
    pub(super) fn is_unambiguous(
        &self,
        log: &std::path::Path,
        vault: &Vault,
        io: &mut Io<'_, '_>,
    ) -> Result<(), Failure> {
        if self.issuer.is_some() {
            return Ok(());
        }
        let mut issuers = BTreeSet::new();
        let mut reader = reading::from(log, 0)?;
        let mut meter = Meter::new("looking for the issuer at", io);
        while let Some(entry) = reading::next(&mut reader)?
            && issuers.len() < TOLD
        {
            meter.at(entry.index, io);
            let fields = reading::fields_of(&entry)?;
            let Some(issuer) = fields.get("issuer").and_then(Value::as_str) else {
                continue;
            };
            if !issuers.contains(issuer)
                && Whom::new(self.subject, Some(issuer)).is_in(&entry, &fields, Some(vault))?
            {
                issuers.insert(issuer.to_owned());
            }
        }
        meter.clear(io);
        if issuers.is_empty() {
            return Ok(());
        }
        let issuers: Vec<String> = issuers.iter().map(|name| format!("`{name}`")).collect();
        Err(Failure::usage(format_args!(
            "`{}` is in this log as vouched for by {}: name one with `--issuer`",
            self.subject,
            issuers.join(", ")
        )))
    }
}

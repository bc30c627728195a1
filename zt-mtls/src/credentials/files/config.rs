use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{Files, FilesError};
use crate::{id::TrustDomain, verify::PkiNames};

pub(super) const SHORTEST: Duration = Duration::from_millis(100);
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// As it stands in a configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    certificate: PathBuf,
    key: PathBuf,
    #[serde(default)]
    bundles: BTreeMap<String, PathBuf>,
    #[serde(default)]
    roots: Vec<PathBuf>,
    #[serde(default)]
    names: WrittenNames,
    #[serde(default)]
    revocation_lists: Vec<PathBuf>,
    every_ms: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenNames {
    dns: Vec<String>,
    uris: Vec<String>,
}

impl TryFrom<Written> for Files {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut files = Self::new(written.certificate, written.key);
        for (domain, path) in written.bundles {
            let known = TrustDomain::parse(&domain)
                .map_err(|error| format!("`{domain}` is no trust domain: {error}"))?;
            files = files.bundle(known, path);
        }
        files = written.roots.into_iter().fold(files, Self::roots);
        let names = written
            .names
            .dns
            .iter()
            .fold(PkiNames::none(), PkiNames::dns);
        let names = written.names.uris.into_iter().fold(names, PkiNames::uri);
        files = files.names(names);
        let lists = written.revocation_lists.into_iter();
        files = lists.fold(files, Self::revocation_list);
        if let Some(every) = written.every_ms.map(Duration::from_millis) {
            if !(SHORTEST..=LONGEST).contains(&every) {
                return Err("`every_ms` is from 100 to 3600000".to_owned());
            }
            files.every = every;
        }
        files.checked().map_err(|error| error.to_string())?;
        Ok(files)
    }
}

impl Files {
    /// Whether it can be told whom to trust.
    pub(super) fn checked(&self) -> Result<(), FilesError> {
        let nobody = self.names == PkiNames::none();
        FilesError::config(match (&*self.bundles, &*self.roots) {
            ([], []) => "there are neither `bundles` nor `roots`",
            ([], _) if nobody => "`roots` need `names`: nobody is allowed",
            ([], _) => return Ok(()),
            (_, [_, ..]) => "there are both `bundles` and `roots`",
            _ if !nobody => "`names` are for `roots`; with `bundles` peers are named by SPIFFE IDs",
            _ => return Ok(()),
        })
    }
}

use std::{io, path::Path, sync::Arc};

use crate::{bundle::BundleError, credentials::IdentityError, id::TrustDomain, verify::TrustError};

/// Files that give no credentials. Names files, so it is for administrators; says nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// It does not say whom to trust.
    #[error("{0}")]
    Config(&'static str),
    /// A file is not there, or may not be read.
    #[error("`{}` cannot be read: {kind}", .file.display())]
    Unreadable {
        /// Which.
        file: Arc<Path>,
        /// Why.
        kind: io::ErrorKind,
    },
    /// It is a folder, a pipe, a device.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(Arc<Path>),
    /// It is larger than it can sanely be.
    #[error("`{}` is larger than {most} bytes", .file.display())]
    TooLarge {
        /// Which.
        file: Arc<Path>,
        /// The most.
        most: usize,
    },
    /// They changed at each reading.
    #[error("the files change while they are read")]
    Changing,
    /// The file system does not answer.
    #[error("the files have not been read for {0} s")]
    Slow(u64),
    /// The certificate or its key cannot be used, or they do not belong together.
    #[error("`{}` and `{}`: {why}", .certificate.display(), .key.display())]
    Identity {
        /// The certificate's.
        certificate: Arc<Path>,
        /// The key's.
        key: Arc<Path>,
        /// Why.
        why: IdentityError,
    },
    /// Our own certificate has ended.
    #[error("`{}`: the certificate has ended", .0.display())]
    Ended(Arc<Path>),
    /// Our own certificate has not begun.
    #[error("`{}`: the certificate has not begun", .0.display())]
    NotYet(Arc<Path>),
    /// The bundle of a trust domain cannot be used.
    #[error("`{}`, bundle of `{domain}`: {why}", .file.display())]
    Bundle {
        /// Which file.
        file: Arc<Path>,
        /// Whose.
        domain: TrustDomain,
        /// Why.
        why: BundleError,
    },
    /// Roots or revocation lists are not in their format.
    #[error("`{}`: {why}", .file.display())]
    Format {
        /// Which file.
        file: Arc<Path>,
        /// Why.
        why: &'static str,
    },
    /// Nobody can be trusted by what they hold.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The time cannot be trusted.
    #[error("the clock is unavailable")]
    Clock,
    /// Whoever read the files did not come back: a panic, or no thread to be had.
    #[error("the files could not be looked at")]
    Died,
    /// Nobody uses the credentials any more.
    #[error("nobody looks any more")]
    Stopped,
}

impl FilesError {
    pub(super) const fn config(why: &'static str) -> Result<(), Self> {
        Err(Self::Config(why))
    }
}

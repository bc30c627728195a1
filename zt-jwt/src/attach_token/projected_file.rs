use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Number;
use zeroize::Zeroizing;
use zt_core::clock::{Clock, Timestamp};

use super::{AttachableToken, SourceError, TokenSource};
use crate::jose::json::is_strict_object;

/// A token in a file that somebody else keeps fresh, such as Kubernetes' projected service account
/// tokens.
///
/// The file is read again within a minute, and when 80 % of its token's time has passed. It is
/// opened once for each reading, so a directory that is swapped whole (`..data`) gives the old or
/// the new token and nothing between; other writers must rename a complete file into place. One
/// that cannot be read leaves the last token in use until its own end. Who may read the file is
/// not judged here: that is for whoever writes it.
///
/// When a token ends is read from its `exp`. Nobody verifies it, since it is our own: one that
/// lies about its end is refused by whom it is sent to. A token that says nothing needs
/// [`opaque_seconds`](Self::opaque_seconds).
///
/// ```
/// use zt_jwt::attach_token::ProjectedFile;
///
/// let source = ProjectedFile::new("/var/run/secrets/tokens/orders").reread_seconds(30);
/// let text = r#"{"path": "/var/run/secrets/tokens/vault", "opaque_seconds": 300}"#;
/// let source: ProjectedFile = serde_json::from_str(text)?;
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectedFile {
    path: PathBuf,
    #[serde(default = "a_minute")]
    reread_seconds: u32,
    #[serde(default)]
    opaque_seconds: Option<u32>,
    /// A file system that hangs holds one thread and not one for each attempt.
    #[serde(skip)]
    reading: Arc<Mutex<()>>,
}

const fn a_minute() -> u32 {
    60
}

impl ProjectedFile {
    /// The token at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            reread_seconds: a_minute(),
            opaque_seconds: None,
            reading: Arc::default(),
        }
    }

    /// The file is read again within so many seconds: 10 to 60, and 60 by default.
    #[must_use]
    pub const fn reread_seconds(mut self, seconds: u32) -> Self {
        self.reread_seconds = seconds;
        self
    }

    /// A token that does not say when it ends is good for so many seconds after it was read.
    #[must_use]
    pub const fn opaque_seconds(mut self, seconds: u32) -> Self {
        self.opaque_seconds = Some(seconds);
        self
    }
}

impl Clone for ProjectedFile {
    /// A source of its own: it does not fail because the other one is reading.
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            reread_seconds: self.reread_seconds,
            opaque_seconds: self.opaque_seconds,
            reading: Arc::default(),
        }
    }
}

impl TokenSource for ProjectedFile {
    fn fetch<'a>(
        &'a self,
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<AttachableToken, SourceError>> {
        Box::pin(async move {
            let now = clock.now()?;
            let (path, reading) = (self.path.clone(), Arc::clone(&self.reading));
            // A network file system can take its time.
            let text = tokio::task::spawn_blocking(move || read(&path, &reading))
                .await
                .map_err(|_| SourceError::Interrupted)?
                .map_err(|error| SourceError::File {
                    path: self.path.clone(),
                    kind: error.kind(),
                })?;
            let token = trimmed(&text);
            let opaque = || {
                let good = Duration::from_secs(self.opaque_seconds?.into());
                Some(now + good)
            };
            let end = end_of(token).or_else(opaque).ok_or(SourceError::Unusable(
                "the file's token does not say when it ends",
            ))?;
            let reread = Duration::from_secs(self.reread_seconds.clamp(10, 60).into());
            Ok(AttachableToken::new(token)?
                .expiring(end)
                .asking_again_within(reread))
        })
    }
}

fn read(path: &Path, reading: &Mutex<()>) -> io::Result<Zeroizing<Vec<u8>>> {
    let Ok(_reading) = reading.try_lock() else {
        return Err(io::ErrorKind::WouldBlock.into());
    };
    let file = open(path)?;
    // Of what was opened, not of what stands there now.
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // One byte more than fits, and room for a line break: too long is noticed later.
    let most = AttachableToken::MAX_LEN + 3;
    let mut text = Zeroizing::new(Vec::with_capacity(most));
    let most = u64::try_from(most).map_err(io::Error::other)?;
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// Opening a pipe waits for a writer, on a thread that nobody can take back, unless it is told not
/// to; to a regular file that makes no difference.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Without the one line break that editors and `echo` leave.
fn trimmed(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<Number>,
}

/// The `exp` (RFC 7519 section 4.1.4) of a JSON Web Token that was not verified.
pub(super) fn end_of(token: &[u8]) -> Option<Timestamp> {
    let mut segments = token.split(|byte| *byte == b'.');
    let (_, payload, _) = (segments.next()?, segments.next()?, segments.next()?);
    if segments.next().is_some() {
        return None;
    }
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    if !is_strict_object(&payload) {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let exp = claims.exp?;
    // A NumericDate may have a fraction (RFC 7519 section 2).
    let seconds = match exp.as_u64() {
        Some(seconds) => seconds,
        None => Duration::try_from_secs_f64(exp.as_f64()?).ok()?.as_secs(),
    };
    Some(Timestamp::from_secs(seconds))
}

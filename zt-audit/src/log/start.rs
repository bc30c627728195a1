//! Opening a log: locking it, finding where it stands, its key, its first records.

use std::{io, path::Path, sync::Arc, thread};

use zt_core::{clock::Timestamp, random::bytes};

use super::{
    AuditLog, Handle, OpenError, Options,
    core::Core,
    ground::Ground,
    hashes::TreeKeeper,
    health::Faults,
    hook::Hook,
    keeper::Keeper,
    keys::{Keys, Mark, SIGNED},
    news::News,
    segment::{Broken, Segment},
    shared::Shared,
    signer::{Means, Signer},
    writer::Writer,
};
use crate::{
    format::{is_origin, name, write_commit},
    merkle::{Frontier, Hash},
    note::{KeyError, NoteError, SignedCheckpoint, SigningKey},
    read::small,
    record::{Chain, Key, Recovered},
    recover::{Found, Standing, Torn, recover},
    seal::{Vault, VaultError},
    storage::{Folder, Storage},
    tree::{ProveError, Prover},
    verify::MAX_CHECKPOINT,
};

/// What signs, and what seals.
pub(super) enum Secrets {
    /// The application gave them.
    Given(Arc<SigningKey>, Option<Arc<Vault>>),
    /// They lie beside the log.
    Kept(Keys),
}

/// The log in a folder of the file system.
pub(super) fn folder(path: &Path, options: Options) -> Result<AuditLog, OpenError> {
    options.check()?;
    let keys = Keys::open(path, options.keys_in.as_deref())?;
    let storage = Folder::open(path).map_err(|source| OpenError::File {
        action: "open",
        path: path.to_owned(),
        source,
    })?;
    start(Arc::new(storage), path, Secrets::Kept(keys), options)
}

/// The log in `storage`, which is called `path` in what is said.
pub(super) fn start(
    storage: Arc<dyn Storage>,
    path: &Path,
    secrets: Secrets,
    options: Options,
) -> Result<AuditLog, OpenError> {
    options.check()?;
    let fails = |action| {
        let path = path.to_owned();
        move |source| OpenError::File {
            action,
            path,
            source,
        }
    };
    let lock = storage.lock(name::LOCK).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::InUse(path.to_owned())
        } else {
            fails("lock")(error)
        }
    })?;
    let is_begun = has_segments(&*storage).map_err(fails("read"))?;
    let mut unlocked = secrets.unlock(&options, is_begun)?;
    let (standing, torn) = match find(&*storage, &unlocked).map_err(fails("read"))? {
        Found::Nothing => (None, None),
        Found::Standing(standing, torn) => (Some(*standing), torn),
        Found::Damaged(record) => {
            let path = path.to_owned();
            let damaged = OpenError::Damaged { path, record };
            return Err(unlocked.misfit(&*storage).unwrap_or(damaged));
        }
    };
    let key = unlocked.settle(standing.as_ref(), &options)?;
    let signed = standing.as_ref().and_then(|found| found.signed.clone());
    let Unlocked {
        keys, vault, mark, ..
    } = unlocked;
    if let Some(mark) = &mark {
        goes_on_from(mark, signed.as_ref(), key.name(), &storage, path)?;
    }
    let origin: Arc<str> = key.name().into();
    let clock = options.own_clock();

    let ground = Arc::new(Ground::new(Arc::clone(&storage)));
    let mut first = First {
        storage: &*storage,
        ground: &ground,
        chain_of: &origin,
        vault: vault.clone(),
        path,
    };
    let at = clock.now().unwrap_or(Timestamp::EPOCH);
    let (segment, tree, last) = first.write(standing, torn, &key, at)?;

    let news = Arc::new(News::new(tree.clone()));
    let hook = match options.on_checkpoint.clone() {
        Some(call) => Some(Hook::start(call).map_err(OpenError::Thread)?),
        None => None,
    };
    let shared = Arc::new(Shared::new(
        options.max_records,
        options.max_bytes,
        Arc::clone(&clock),
        options.batch_delay,
        options.flood(),
    ));
    let core = Arc::new(Core {
        signer: Signer::new(
            Means {
                origin: Arc::clone(&origin),
                storage: Arc::clone(&storage),
                mark,
                clock: Arc::clone(&clock),
                news: Arc::clone(&news),
                hook,
            },
            key,
            signed,
        ),
        origin,
        storage,
        clock,
        vault,
        shared,
        ground,
        news,
        faults: Faults::default(),
        segment_bytes: options.segment_bytes,
        _lock: lock,
    });
    threads(core, keys, segment, tree, last, &options)
}

fn threads(
    core: Arc<Core>,
    keys: Option<Keys>,
    segment: Segment,
    tree: Frontier,
    last: Hash,
    options: &Options,
) -> Result<AuditLog, OpenError> {
    let keeper = Keeper::new(
        Arc::clone(&core),
        TreeKeeper::default(),
        options.sign_every,
        options.sign_idle,
    );
    let writer = Writer::new(Arc::clone(&core), segment, tree, last);
    let writer = thread::Builder::new()
        .name("zt-audit".to_owned())
        .spawn(|| writer.run())
        .map_err(OpenError::Thread)?;
    let keeper = thread::Builder::new()
        .name("zt-audit-keeper".to_owned())
        .spawn(|| keeper.run())
        .map_err(|error| {
            // The writer must not stay behind alone.
            core.shared.close();
            OpenError::Thread(error)
        })?;
    Ok(AuditLog(Arc::new(Handle::new(core, keys, writer, keeper))))
}

/// What was given or lies beside the log, before it is known whether it fits.
struct Unlocked {
    key: Option<Arc<SigningKey>>,
    /// One that may have come into force just before a crash.
    next: Option<Arc<SigningKey>>,
    keys: Option<Keys>,
    vault: Option<Arc<Vault>>,
    /// What was signed last, for a log whose keys lie in a folder.
    mark: Option<Mark>,
}

impl Secrets {
    fn unlock(self, options: &Options, is_begun: bool) -> Result<Unlocked, OpenError> {
        let keys = match self {
            Self::Given(key, vault) => {
                return Ok(Unlocked {
                    key: Some(key),
                    next: None,
                    keys: None,
                    vault,
                    mark: None,
                });
            }
            Self::Kept(keys) => keys,
        };
        let vault = match options.in_clear {
            true => None,
            // A disk that is not mounted must not look like a vault that is new.
            false if is_begun && !Vault::is_in(keys.path()) => {
                return Err(VaultError::Missing.into());
            }
            false => Some(Arc::new(Vault::open(keys.path(), options.own_vault())?)),
        };
        let mark = Some(keys.mark()?);
        let unlocked = match &options.signing_key {
            Some(key) => Unlocked {
                key: Some(Arc::clone(key)),
                next: None,
                keys: None,
                vault,
                mark,
            },
            None => Unlocked {
                key: keys.current()?.map(Arc::new),
                next: keys.next()?.map(Arc::new),
                keys: Some(keys),
                vault,
                mark,
            },
        };
        Ok(unlocked)
    }
}

impl Unlocked {
    /// The key in force, or the first one of a new log.
    fn settle(
        &mut self,
        standing: Option<&Standing>,
        options: &Options,
    ) -> Result<Arc<SigningKey>, OpenError> {
        let origin = standing.map(|standing| standing.origin.as_str());
        if let (Some(found), Some(given)) = (origin, &options.origin)
            && found != given
        {
            return Err(other_origin(found, given));
        }
        let in_force = standing.and_then(|standing| standing.vkey.as_deref());
        if let (Some(keys), Some(next)) = (&self.keys, &self.next)
            && in_force == Some(next.verifier().to_string().as_str())
        {
            // The log named it, and then there was no time to put it in its place.
            keys.adopt(next).map_err(|source| OpenError::File {
                action: "write",
                path: keys.path().to_owned(),
                source,
            })?;
            self.key = self.next.take();
        }
        let key = match (&self.key, &self.keys) {
            (Some(key), _) => Arc::clone(key),
            (None, Some(keys)) => {
                // A log that was here once is missed like one that is here.
                let mark = self.mark.as_ref().map(Mark::get).transpose();
                let said = mark.map_err(|source| keys.fails("read", SIGNED, source))?;
                let had = said.flatten().map(|said| said.origin);
                Arc::new(new_key(keys, origin.or(had.as_deref()), options)?)
            }
            // There is one or the other.
            (None, None) => return Err(OpenError::Key(KeyError::Form("signing key"))),
        };
        let given = key.verifier().to_string();
        match (in_force, origin.or(options.origin.as_deref())) {
            (_, Some(origin)) if origin != key.name() => Err(other_origin(origin, key.name())),
            (Some(in_force), _) if in_force != given => Err(OpenError::KeyNotInForce {
                in_force: in_force.to_owned(),
                given,
            }),
            _ => Ok(key),
        }
    }

    /// Whether the last checkpoint was signed, but not by the key that was given.
    fn misfit(&self, storage: &dyn Storage) -> Option<OpenError> {
        let checkpoint = small(storage, name::CHECKPOINT, MAX_CHECKPOINT).ok()??;
        let signed = SignedCheckpoint::parse(&checkpoint).ok()?;
        let key = self.key.as_ref()?;
        let origin = &signed.checkpoint().origin;
        if key.name() != origin {
            return Some(other_origin(origin, key.name()));
        }
        match signed.verify(&key.verifier()) {
            Err(NoteError::Unsigned) => Some(OpenError::KeyNotInForce {
                in_force: "another key".to_owned(),
                given: key.verifier().to_string(),
            }),
            _ => None,
        }
    }
}

/// The log's own checkpoint is made durable before the mark, so it never covers less, and it goes on
/// from what the mark says.
fn goes_on_from(
    mark: &Mark,
    signed: Option<&SignedCheckpoint>,
    origin: &str,
    storage: &Arc<dyn Storage>,
    path: &Path,
) -> Result<(), OpenError> {
    let fails = |action| {
        let path = mark.path();
        move |source| OpenError::File {
            action,
            path,
            source,
        }
    };
    let Some(said) = mark.get_of(origin).map_err(fails("read"))? else {
        return Ok(());
    };
    let nothing = (0, Hash::EMPTY_TREE);
    let (found, root) = signed.map_or(nothing, |signed| {
        (signed.checkpoint().size, signed.checkpoint().root)
    });
    if said.size > found {
        return Err(OpenError::RolledBack {
            path: path.to_owned(),
            signed: said.size,
            found,
            mark: mark.path(),
        });
    }
    let goes_on = match said.size {
        0 => true,
        size if size == found => said.root == root,
        // The mark is late, after a crash.
        size => Prover::over(Arc::clone(storage))
            .and_then(|prover| prover.consistency(size, found))
            .map(|proof| proof.old_root == said.root)
            .or_else(|error| match error {
                // Nobody can tell any more.
                ProveError::Pruned { .. } => Ok(true),
                error => Err(fails("compare the log with")(io::Error::other(error))),
            })?,
    };
    if goes_on {
        return Ok(());
    }
    Err(OpenError::Forked {
        path: path.to_owned(),
        signed: said.size,
        mark: mark.path(),
    })
}

/// Whether the log has a file of records.
fn has_segments(storage: &dyn Storage) -> io::Result<bool> {
    match storage.list(name::LOG) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        files => Ok(files?.iter().any(|file| name::first_of(file).is_some())),
    }
}

/// The log as it stands, by the key that is there, or the one that was about to come into force.
fn find(storage: &dyn Storage, unlocked: &Unlocked) -> io::Result<Found> {
    let verifier = |key: &Arc<SigningKey>| key.verifier();
    let found = recover(storage, unlocked.key.as_ref().map(verifier).as_ref())?;
    match (&found, &unlocked.next) {
        (Found::Damaged(_), Some(next)) => match recover(storage, Some(&next.verifier()))? {
            Found::Damaged(_) => Ok(found),
            better => Ok(better),
        },
        _ => Ok(found),
    }
}

fn other_origin(found: &str, given: &str) -> OpenError {
    OpenError::Origin {
        found: found.to_owned(),
        given: given.to_owned(),
    }
}

/// A log that is there and whose key is not gets no other: it would be refused by everybody who
/// trusts the one that the log names.
fn new_key(keys: &Keys, origin: Option<&str>, options: &Options) -> Result<SigningKey, OpenError> {
    if origin.is_some() {
        return Err(OpenError::File {
            action: "find the signing key in",
            path: keys.path().to_owned(),
            source: io::ErrorKind::NotFound.into(),
        });
    }
    let entropy = options.own_entropy();
    let name = match &options.origin {
        Some(name) => name.clone(),
        None => {
            let random: [u8; 8] = bytes(&*entropy).map_err(KeyError::from)?;
            format!("zt-audit/{:016x}", u64::from_be_bytes(random))
        }
    };
    if !is_origin(&name) {
        return Err(OpenError::Key(KeyError::Form("name of a log")));
    }
    keys.generate(&name, &*entropy)
}

/// The records that every opening begins with, durable before anything else is taken.
struct First<'a> {
    storage: &'a dyn Storage,
    ground: &'a Arc<Ground>,
    chain_of: &'a Arc<str>,
    vault: Option<Arc<Vault>>,
    path: &'a Path,
}

type Written = (Segment, Frontier, Hash);

impl First<'_> {
    fn write(
        &mut self,
        standing: Option<Standing>,
        torn: Option<Torn>,
        key: &SigningKey,
        at: Timestamp,
    ) -> Result<Written, OpenError> {
        let fails = |action| {
            let path = self.path.to_owned();
            move |broken| OpenError::File {
                action,
                path,
                source: match broken {
                    Broken::Evidence(tampered) => io::Error::other(tampered.to_string()),
                    Broken::Full(error) | Broken::Disk(error) => error,
                },
            }
        };
        let (mut segment, mut tree, last) = match standing {
            None => {
                let segment = Segment::create(self.storage, self.ground, 0);
                let zeros = Hash::from_bytes([0; 32]);
                (segment.map_err(fails("create"))?, Frontier::new(), zeros)
            }
            Some(found) => {
                let (first, end) = (found.segment, found.end);
                let segment = Segment::resume(self.storage, self.ground, first, end);
                let segment = segment.map_err(fails("open"))?;
                (segment, found.tree, found.last)
            }
        };
        let is_new = tree.size() == 0;
        let (mut out, mut leaves) = (Vec::with_capacity(2048), Vec::new());
        let mut chain = Chain::new(
            Arc::clone(self.chain_of),
            tree.size(),
            last,
            self.vault.clone(),
        );
        if let Some(torn) = &torn {
            leaves.push(chain.append_recovered(&mut out, at, recovered(torn))?);
        }
        leaves.push(chain.append_started(&mut out, at)?);
        if is_new {
            let vkey = key.verifier().to_string();
            let key = Key {
                vkey: &vkey,
                endorsed: None,
            };
            leaves.push(chain.append_key(&mut out, at, key)?);
        }
        for leaf in &leaves {
            tree.append(*leaf);
        }
        if let Some(vault) = &self.vault {
            vault
                .commit()
                .map_err(VaultError::file("write", "subjects"))?;
        }
        write_commit(&mut out, tree.size(), &tree.root());
        segment.commit(&out, false).map_err(fails("write"))?;
        Ok((segment, tree, chain.prev()))
    }
}

fn recovered(torn: &Torn) -> Recovered<'_> {
    Recovered {
        cause: "torn",
        file: &torn.file,
        bytes: torn.bytes,
        records: torn.records,
        sha256: Some(&torn.sha256),
        why: None,
    }
}

//! Credentials from real files: what each kind of writer leaves behind, at each moment.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD as STANDARD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD},
};
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::json;
use zt_core::{
    clock::{Clock, ManualClock, Timestamp},
    state::Readiness,
};
use zt_mtls::{
    credentials::{Age, Credentials, Files, FilesError, IdentityError, Reload, Reloader},
    id::TrustDomain,
    testing::{TestCa, TestCert, TestFolder, pem, svid_params, valid},
    verify::PkiNames,
};

const DOMAIN: &str = "shop.example";
const HOUR: Duration = Duration::from_secs(3600);

/// A CA, a folder with what it gave a workload, and the time.
struct Setup {
    ca: TestCa,
    folder: TestFolder,
    clock: ManualClock,
}

impl Setup {
    fn new() -> Self {
        let setup = Self {
            ca: TestCa::new(DOMAIN),
            folder: TestFolder::new(),
            clock: ManualClock::default(),
        };
        setup.put(&setup.ca.workload("/first"));
        setup.folder.put("ca.crt", setup.root());
        setup
    }

    fn put(&self, cert: &TestCert) {
        self.folder.put("tls.crt", cert.chain_pem());
        self.folder.put("tls.key", cert.key_pem());
    }

    fn root(&self) -> String {
        pem("CERTIFICATE", self.ca.root())
    }

    fn identity_files(&self) -> Files {
        Files::new(self.folder.path("tls.crt"), self.folder.path("tls.key"))
    }

    fn files(&self) -> Files {
        let domain = TrustDomain::parse(DOMAIN).unwrap();
        self.identity_files()
            .bundle(domain, self.folder.path("ca.crt"))
    }

    async fn load(&self, files: Files) -> Result<(Credentials, Reloader), FilesError> {
        let provider = Arc::new(default_provider());
        files.load_with(provider, self.clock.clone()).await
    }

    async fn loaded(&self) -> (Credentials, Reloader) {
        self.load(self.files()).await.unwrap()
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap()
    }

    /// A certificate that is good from now for so long.
    fn short(&self, span: Duration) -> TestCert {
        self.between(self.now(), self.now() + span)
    }

    fn between(&self, from: Timestamp, to: Timestamp) -> TestCert {
        let mut params = svid_params("spiffe://shop.example/first");
        valid(&mut params, from, to);
        self.ca.issue(params)
    }
}

/// Looks, where the clock has moved: the task may have looked before.
async fn reloaded(credentials: &Credentials, reloader: &Reloader, generation: u64) {
    reloader.reload().await.unwrap();
    assert_eq!(credentials.status().generation, generation);
}

fn path_of(credentials: &Credentials) -> String {
    let material = credentials.load();
    material.identity().spiffe_id().unwrap().path().to_owned()
}

#[cfg(unix)]
#[tokio::test]
async fn takes_a_folder_that_kubernetes_swaps() {
    let ca = TestCa::new(DOMAIN);
    let root = pem("CERTIFICATE", ca.root());
    let mut folder = TestFolder::new();
    let swap = |folder: &mut TestFolder, path| {
        let cert = ca.workload(path);
        folder.swap(&[
            ("tls.crt", cert.chain_pem().as_bytes()),
            ("tls.key", cert.key_pem().as_bytes()),
            ("ca.crt", root.as_bytes()),
        ]);
    };
    swap(&mut folder, "/first");
    let files = Files::new(folder.path("tls.crt"), folder.path("tls.key"))
        .bundle(ca.trust_domain().clone(), folder.path("ca.crt"));
    let (credentials, reloader) = files.load().await.unwrap();
    assert_eq!(path_of(&credentials), "/first");
    for (generation, path) in [(2, "/second"), (3, "/third")] {
        swap(&mut folder, path);
        assert_eq!(reloader.reload().await, Ok(Reload::Replaced(generation)));
        assert_eq!(path_of(&credentials), path);
    }
}

#[tokio::test]
async fn what_is_unchanged_wakes_nobody_and_is_young_again() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let changes = credentials.changes();
    setup.clock.advance(HOUR);
    assert!(credentials.status().age >= Duration::from_secs(3599));
    // The same bytes in another file.
    setup.folder.put("ca.crt", setup.root());
    assert_eq!(reloader.reload().await, Ok(Reload::Unchanged));
    assert_eq!(credentials.status().age, Duration::ZERO);
    assert_eq!(credentials.status().generation, 1);
    assert!(!changes.has_changed().unwrap());

    setup.put(&setup.ca.workload("/second"));
    reloaded(&credentials, &reloader, 2).await;
    assert!(changes.has_changed().unwrap());
}

#[tokio::test]
async fn a_certificate_without_its_key_leaves_the_last_good_one() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let second = setup.ca.workload("/second");
    setup.folder.put("tls.crt", second.chain_pem());
    for _ in 0..2 {
        let error = reloader.reload().await.unwrap_err();
        assert!(
            matches!(
                &error,
                FilesError::Identity {
                    why: IdentityError::Key(_),
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(
            credentials.status().last_error,
            Some(error.to_string().into())
        );
        assert_eq!(path_of(&credentials), "/first");
    }
    setup.folder.put("tls.key", second.key_pem());
    assert_eq!(reloader.reload().await, Ok(Reload::Replaced(2)));
    assert_eq!(path_of(&credentials), "/second");
    assert_eq!(credentials.status().last_error, None);
}

#[tokio::test]
async fn a_half_written_key_leaves_the_last_good_one() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let second = setup.ca.workload("/second");
    let key = second.key_pem().as_bytes();
    // Over the old one, in its place.
    fs::write(setup.folder.path("tls.crt"), second.chain_pem()).unwrap();
    for cut in [0, 1, key.len() / 2, key.len() - 2] {
        fs::write(setup.folder.path("tls.key"), &key[..cut]).unwrap();
        assert_eq!(reloader.reload().await, Ok(Reload::Settling));
        let error = reloader.reload().await.unwrap_err();
        assert!(matches!(error, FilesError::Identity { .. }), "{error}");
    }
    fs::write(setup.folder.path("tls.key"), key).unwrap();
    assert_eq!(reloader.reload().await, Ok(Reload::Settling));
    assert_eq!(path_of(&credentials), "/first");
    assert_eq!(reloader.reload().await, Ok(Reload::Replaced(2)));
    assert_eq!(path_of(&credentials), "/second");
}

/// A bundle of two roots, cut after the first, can be read; peers of the other would be shut out.
#[tokio::test]
async fn half_a_bundle_written_over_the_old_one_is_never_in_force() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let next = TestCa::new(DOMAIN);
    let half = pem("CERTIFICATE", next.root());
    let whole = half.clone() + &setup.root();
    fs::write(setup.folder.path("ca.crt"), &half).unwrap();
    assert_eq!(reloader.reload().await, Ok(Reload::Settling));
    fs::write(setup.folder.path("ca.crt"), &whole).unwrap();
    assert_eq!(reloader.reload().await, Ok(Reload::Settling));
    assert_eq!(credentials.status().generation, 1);
    assert_eq!(reloader.reload().await, Ok(Reload::Replaced(2)));
}

/// How a file is spoiled, what does it, and what is said of it.
type Spoil<'a> = (&'static str, Box<dyn Fn() + 'a>, FilesError);

#[tokio::test]
async fn each_file_that_cannot_be_read_leaves_the_last_good_material() {
    let setup = Setup::new();
    let list = setup.ca.revocation_list(&[], setup.now(), HOUR);
    setup.folder.put("ca.crl", &list);
    let files = setup.files().revocation_list(setup.folder.path("ca.crl"));
    let (credentials, reloader) = setup.load(files.clone()).await.unwrap();
    for name in ["tls.crt", "tls.key", "ca.crt", "ca.crl"] {
        let path = setup.folder.path(name);
        let good = fs::read(&path).unwrap();
        let here: Arc<Path> = path.clone().into();
        let mut spoil: Vec<Spoil<'_>> = vec![
            (
                "is gone",
                Box::new(|| ()),
                FilesError::Unreadable {
                    file: here.clone(),
                    kind: io::ErrorKind::NotFound,
                },
            ),
            (
                "is a folder",
                Box::new(|| fs::create_dir(&path).unwrap()),
                FilesError::NotAFile(here.clone()),
            ),
        ];
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;

            spoil.push((
                "is a pipe that nobody writes to",
                Box::new(|| {
                    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                    let fifo = rustix::fs::FileType::Fifo;
                    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
                }),
                FilesError::NotAFile(here.clone()),
            ));
            spoil.push((
                "leads to itself",
                Box::new(|| symlink(&path, &path).unwrap()),
                FilesError::Unreadable {
                    file: here.clone(),
                    kind: io::Error::from(rustix::io::Errno::LOOP).kind(),
                },
            ));
            spoil.push((
                "leads nowhere",
                Box::new(|| symlink("nowhere", &path).unwrap()),
                FilesError::Unreadable {
                    file: here.clone(),
                    kind: io::ErrorKind::NotFound,
                },
            ));
        }
        for (how, spoil, error) in spoil {
            fs::remove_file(&path).unwrap();
            spoil();
            let found = reloader.reload().await;
            assert_eq!(found, Err(error.clone()), "{name} {how}");
            assert_eq!(
                credentials.status().last_error,
                Some(error.to_string().into())
            );
            let refused = setup.load(files.clone()).await.map(drop);
            assert_eq!(refused, Err(error), "{name} {how}");
            fs::remove_file(&path)
                .or_else(|_| fs::remove_dir(&path))
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })
                .unwrap();
            setup.folder.put(name, &good);
            assert_eq!(reloader.reload().await, Ok(Reload::Unchanged), "{name}");
            assert_eq!(credentials.status().last_error, None);
        }
    }
    assert_eq!(credentials.status().generation, 1);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    for (name, most) in [
        ("tls.crt", 256 << 10),
        ("tls.key", 256 << 10),
        ("ca.crt", 4 << 20),
    ] {
        let path = setup.folder.path(name);
        let good = fs::read(&path).unwrap();
        // Larger than memory, and not one block of it on the disk.
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let file = path.into();
        let error = FilesError::TooLarge { file, most };
        assert_eq!(reloader.reload().await, Err(error), "{name}");
        setup.folder.put(name, good);
    }
    assert_eq!(credentials.status().generation, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_we_may_not_read_leaves_the_last_good_one() {
    use std::os::unix::fs::PermissionsExt;

    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let path = setup.folder.path("tls.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        println!("skipped: root may read every file");
        return;
    }
    let error = FilesError::Unreadable {
        file: path.into(),
        kind: io::ErrorKind::PermissionDenied,
    };
    assert_eq!(reloader.reload().await, Err(error));
    assert_eq!(path_of(&credentials), "/first");
}

#[tokio::test]
async fn a_revocation_list_is_not_lost_because_it_cannot_be_seen() {
    let setup = Setup::new();
    let first = setup.ca.workload("/first");
    setup.put(&first);
    let older = setup.ca.revocation_list(&[], setup.now(), HOUR);
    let older = pem("X509 CRL", &older);
    setup.folder.put("ca.crl", &older);
    let files = setup.files().revocation_list(setup.folder.path("ca.crl"));
    let (credentials, reloader) = setup.load(files).await.unwrap();
    let newer = setup.ca.revocation_list(&[&first], setup.now(), HOUR);
    for newer in [
        pem("CRL", &newer),
        format!("\u{feff}{}", pem("X509 CRL", &newer)),
        format!(" {}", pem("X509 CRL", &newer)),
        pem("CERTIFICATE", setup.ca.root()),
    ] {
        for text in [format!("{newer}{older}"), format!("{older}{newer}")] {
            setup.folder.put("ca.crl", &text);
            let error = reloader.reload().await.unwrap_err();
            assert!(matches!(error, FilesError::Format { .. }), "{error}");
        }
    }
    assert_eq!(credentials.status().generation, 1);
}

#[tokio::test]
async fn an_encrypted_key_is_called_so() {
    let setup = Setup::new();
    let key = setup.ca.workload("/first").key_pem().to_owned();
    let labelled = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let header = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
    for key in [&*labelled, header] {
        setup.folder.put("tls.key", key);
        let error = setup.load(setup.files()).await.unwrap_err();
        let FilesError::Identity { why, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(why, IdentityError::Encrypted);
    }
}

/// Some tools drop the line breaks; what cannot be read is then quoted nowhere.
#[tokio::test]
async fn no_error_quotes_a_key() {
    let setup = Setup::new();
    let cert = setup.ca.workload("/first");
    let line = cert.key_pem().replace('\n', "");
    let secret = &cert.key_pem().lines().nth(1).unwrap().get(20..40).unwrap();
    let bytes = format!("{:?}", secret.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    for (name, content) in [("tls.key", &line), ("tls.crt", &line), ("ca.crt", &line)] {
        let setup = Setup::new();
        setup.folder.put(name, content);
        let error = setup.load(setup.files()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(secret) && !shown.contains(bytes), "{shown}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_now_is_not_put_in_force() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let file: Arc<Path> = setup.folder.path("tls.crt").into();
    let now = setup.now();

    let ended = setup.between(now.saturating_sub(HOUR), now);
    setup.put(&ended);
    let error = Err(FilesError::Ended(file.clone()));
    assert_eq!(reloader.reload().await.map(drop), error);
    assert_eq!(setup.load(setup.files()).await.map(drop), error);

    setup.put(&setup.between(now + HOUR, now + 2 * HOUR));
    let error = Err(FilesError::NotYet(file));
    assert_eq!(reloader.reload().await.map(drop), error);
    assert_eq!(setup.load(setup.files()).await.map(drop), error);
    assert_eq!(credentials.status().generation, 1);

    // It is tried again, though nobody touched it.
    setup.clock.advance(HOUR);
    reloaded(&credentials, &reloader, 2).await;

    setup.clock.fail();
    setup.put(&setup.ca.workload("/second"));
    assert_eq!(reloader.reload().await, Err(FilesError::Clock));
}

#[tokio::test]
async fn a_list_that_revokes_us_is_taken_and_shown() {
    let setup = Setup::new();
    let first = setup.ca.workload("/first");
    setup.put(&first);
    let list = |revoked: &[&TestCert]| setup.ca.revocation_list(revoked, setup.now(), HOUR);
    let der = list(&[]);
    setup.folder.put("ca.crl", pem("X509 CRL", &der));
    let files = setup.files().revocation_list(setup.folder.path("ca.crl"));
    let (credentials, reloader) = setup.load(files).await.unwrap();
    let readiness = Readiness::default();
    credentials.register(&readiness, "credentials");
    let reason = || readiness.status().probes["credentials"].reason;
    assert_eq!(reason(), None);

    // The same list in the other format is another content.
    setup.folder.put("ca.crl", &der);
    assert_eq!(reloader.reload().await, Ok(Reload::Replaced(2)));
    assert_eq!(reason(), None);
    setup.folder.put("ca.crl", list(&[&first]));
    assert_eq!(reloader.reload().await, Ok(Reload::Replaced(3)));
    assert_eq!(reason(), Some("our own certificate is revoked"));

    // A list that is empty by accident does not end revocation.
    for nothing in ["", "# no list\n", &setup.root()] {
        setup.folder.put("ca.crl", nothing);
        let error = reloader.reload().await.unwrap_err();
        assert!(matches!(error, FilesError::Format { .. }), "{error}");
    }
    assert_eq!(reason(), Some("our own certificate is revoked"));
}

#[tokio::test]
async fn several_lists_may_lie_in_one_file_and_the_newest_of_an_issuer_counts() {
    let setup = Setup::new();
    let first = setup.ca.workload("/first");
    setup.put(&first);
    let (old, new) = (setup.now().saturating_sub(HOUR / 2), setup.now());
    let before = pem("X509 CRL", &setup.ca.revocation_list(&[], old, HOUR));
    let after = pem("X509 CRL", &setup.ca.revocation_list(&[&first], new, HOUR));
    let other = TestCa::new("other.example").revocation_list(&[], old, HOUR / 2);
    let other = pem("X509 CRL", &other);
    for all in [
        [&*before, &*after, &*other].concat(),
        [&*other, &*after, &*before].concat(),
    ] {
        setup.folder.put("all.crl", all);
        let files = setup.files().revocation_list(setup.folder.path("all.crl"));
        let (credentials, _reloader) = setup.load(files).await.unwrap();
        let readiness = Readiness::default();
        credentials.register(&readiness, "credentials");
        let reason = readiness.status().probes["credentials"].reason;
        assert_eq!(reason, Some("our own certificate is revoked"));
        let standing = credentials.standing();
        assert_eq!((standing.lists, standing.lists_out_of_date), (2, 1));
        assert_eq!(standing.list_ends, Some(new));
    }
}

#[tokio::test]
async fn readiness_ends_before_the_certificate_does() {
    let setup = Setup::new();
    setup.put(&setup.short(HOUR));
    let (credentials, reloader) = setup.loaded().await;
    let readiness = Readiness::default();
    credentials.register(&readiness, "credentials");
    let seconds = Duration::from_secs;
    for (later, age, reason) in [
        (0, Age::Good, None),
        (2399, Age::Good, None),
        (1, Age::LastThird, None),
        (1139, Age::LastThird, None),
        (1, Age::Ending, Some("our own certificate is about to end")),
        (59, Age::Ending, Some("our own certificate is about to end")),
        (
            1,
            Age::Unusable,
            Some("our own certificate is not good now"),
        ),
    ] {
        setup.clock.advance(seconds(later));
        assert_eq!(credentials.standing().certificate, age);
        assert_eq!(readiness.status().probes["credentials"].reason, reason);
        // Nobody replaces it; that alone is no failure to read.
        assert_eq!(reloader.reload().await, Ok(Reload::Unchanged));
    }
    assert_eq!(credentials.standing().certificate_left, Duration::ZERO);

    setup.put(&setup.short(HOUR));
    reloaded(&credentials, &reloader, 2).await;
    assert_eq!(readiness.status().probes["credentials"].reason, None);
    setup.clock.fail();
    let reason = readiness.status().probes["credentials"].reason;
    assert_eq!(reason, Some("the clock is unavailable"));
    drop((credentials, reloader));
    let reason = readiness.status().probes["credentials"].reason;
    assert_eq!(reason, Some("the credentials are gone"));
}

#[tokio::test]
async fn lists_that_run_out_are_shown_and_shut_nobody_else_out() {
    let setup = Setup::new();
    let other = TestCa::new("other.example");
    let ours = setup.ca.revocation_list(&[], setup.now(), 2 * HOUR);
    let theirs = other.revocation_list(&[], setup.now(), HOUR);
    setup.folder.put("ours.crl", ours);
    setup.folder.put("theirs.crl", theirs);
    setup
        .folder
        .put("other.crt", pem("CERTIFICATE", other.root()));
    let files = setup
        .files()
        .bundle(other.trust_domain().clone(), setup.folder.path("other.crt"))
        .revocation_list(setup.folder.path("ours.crl"))
        .revocation_list(setup.folder.path("theirs.crl"));
    let (credentials, _reloader) = setup.load(files).await.unwrap();
    let readiness = Readiness::default();
    credentials.register(&readiness, "credentials");
    let found = || {
        let reason = readiness.status().probes["credentials"].reason;
        (credentials.standing().lists_out_of_date, reason)
    };
    assert_eq!(found(), (0, None));
    setup.clock.advance(HOUR);
    assert_eq!(found(), (1, None));
    setup.clock.advance(HOUR);
    assert_eq!(found(), (2, Some("the revocation lists are out of date")));
}

#[tokio::test]
async fn a_list_of_our_own_ca_that_runs_out_shuts_our_like_out() {
    let setup = Setup::new();
    let other = TestCa::new("other.example");
    setup
        .folder
        .put("ours.crl", setup.ca.revocation_list(&[], setup.now(), HOUR));
    setup.folder.put(
        "theirs.crl",
        other.revocation_list(&[], setup.now(), 2 * HOUR),
    );
    let files = setup
        .files()
        .revocation_list(setup.folder.path("theirs.crl"))
        .revocation_list(setup.folder.path("ours.crl"));
    let (credentials, _reloader) = setup.load(files).await.unwrap();
    let readiness = Readiness::default();
    credentials.register(&readiness, "credentials");
    setup.clock.advance(HOUR);
    let reason = readiness.status().probes["credentials"].reason;
    assert_eq!(
        reason,
        Some("the revocation list of our own CA is out of date")
    );
}

#[tokio::test]
async fn looks_again_by_itself_until_it_is_dropped() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let mut changes = credentials.changes();
    setup.put(&setup.ca.workload("/second"));
    let moved = async {
        loop {
            setup.clock.advance(Files::EVERY);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        changed = changes.changed() => changed.unwrap(),
        () = moved => {}
    }
    assert_eq!(path_of(&credentials), "/second");

    drop(reloader);
    setup.put(&setup.ca.workload("/third"));
    for _ in 0..100 {
        setup.clock.advance(Files::EVERY);
        tokio::task::yield_now().await;
    }
    assert_eq!(path_of(&credentials), "/second");
}

#[tokio::test]
async fn a_detached_one_ends_with_the_last_credentials() {
    let setup = Setup::new();
    let clock = Arc::new(setup.clock.clone());
    let provider = Arc::new(default_provider());
    let loaded = setup.files().load_with(provider, Arc::clone(&clock)).await;
    let (credentials, reloader) = loaded.unwrap();
    reloader.detach();
    let mut changes = credentials.changes();
    setup.put(&setup.ca.workload("/second"));
    while !changes.has_changed().unwrap() {
        clock.advance(Files::EVERY);
        tokio::task::yield_now().await;
    }
    assert_eq!(path_of(&credentials), "/second");
    changes.mark_unchanged();
    drop((credentials, changes));
    while Arc::strong_count(&clock) > 1 {
        clock.advance(Files::EVERY);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_bundle_may_be_a_jwk_set() {
    let setup = Setup::new();
    let (credentials, reloader) = setup.loaded().await;
    let jwks = |ca: &TestCa| {
        let root = STANDARD.encode(ca.root());
        // What RFC 7517 asks of any key; it is the certificate that counts.
        json!({"keys": [{"use": "x509-svid", "kty": "EC", "crv": "P-256", "x5c": [root],
            "x": URL_SAFE_NO_PAD.encode([1; 32]), "y": URL_SAFE_NO_PAD.encode([1; 32])}]})
        .to_string()
    };
    setup
        .folder
        .put("ca.crt", format!("\n {}", jwks(&setup.ca)));
    assert_eq!(reloader.reload().await, Ok(Reload::Replaced(2)));
    setup.folder.put("ca.crt", r#"{"keys": []}"#);
    let error = reloader.reload().await.unwrap_err();
    assert!(matches!(error, FilesError::Bundle { .. }), "{error}");
    assert_eq!(credentials.status().generation, 2);
}

#[tokio::test]
async fn plain_pki_has_roots_and_names() {
    let setup = Setup::new();
    let names = PkiNames::none().dns("Orders.Internal").uri("urn:a");
    let built = setup
        .identity_files()
        .roots(setup.folder.path("ca.crt"))
        .names(names)
        .every(Duration::from_millis(250));
    let text = json!({
        "certificate": setup.folder.path("tls.crt"),
        "key": setup.folder.path("tls.key"),
        "roots": [setup.folder.path("ca.crt")],
        "names": {"dns": ["orders.internal"], "uris": ["urn:a"]},
        "every_ms": 250,
    });
    let files: Files = serde_json::from_value(text).unwrap();
    assert_eq!(files, built);
    let (credentials, reloader) = setup.load(files).await.unwrap();
    assert!(!credentials.load().trust().is_spiffe());
    setup.folder.put("ca.crt", "nothing");
    let error = reloader.reload().await.unwrap_err();
    assert!(matches!(error, FilesError::Format { .. }), "{error}");
}

#[test]
fn a_configuration_says_whom_to_trust_and_nothing_unknown() {
    let refuses = |changes: serde_json::Value, why: &str| {
        let mut config = json!({"certificate": "a", "key": "b"});
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        let error = serde_json::from_value::<Files>(config)
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{error}");
    };
    let bundles = json!({"shop.example": "c"});
    refuses(json!({}), "neither `bundles` nor `roots`");
    refuses(
        json!({"bundles": bundles, "roots": ["d"], "names": {"dns": ["e"]}}),
        "both",
    );
    refuses(json!({"roots": ["d"]}), "nobody is allowed");
    refuses(
        json!({"bundles": bundles, "names": {"dns": ["e"]}}),
        "`names` are for `roots`",
    );
    refuses(
        json!({"bundles": {"Shop.example": "c"}}),
        "`Shop.example` is no trust domain",
    );
    refuses(
        json!({"bundles": bundles, "crl": "d"}),
        "unknown field `crl`",
    );
    refuses(json!({"bundles": bundles, "every_ms": 99}), "`every_ms`");
    refuses(
        json!({"roots": ["d"], "names": {"ip": ["e"]}}),
        "unknown field `ip`",
    );
}

#[tokio::test]
async fn what_says_nobody_to_trust_is_not_loaded() {
    let setup = Setup::new();
    let error = setup.load(setup.identity_files()).await.unwrap_err();
    assert!(matches!(error, FilesError::Config(_)), "{error}");
    let twice = setup.files().bundle(
        TrustDomain::parse(DOMAIN).unwrap(),
        setup.folder.path("ca.crt"),
    );
    let error = setup.load(twice).await.unwrap_err();
    assert!(matches!(error, FilesError::Trust(_)), "{error}");
}

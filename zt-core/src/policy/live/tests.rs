//! What is put in force, what stays, and what is told of it.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex as StdMutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
};

use http::Request;

use super::*;
use crate::{
    clock::{ClockError, ManualClock, Sleep, Timestamp},
    context::SecurityContext,
    gate::Settings,
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{Event, MemoryRecorder, Recorder},
};

/// A folder that is gone after its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "zt-live-policy-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("policy.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Version `version`, in which users may read what lies under `/{path}`.
fn text(version: u32, path: &str) -> String {
    format!(
        "policy = \"shop\"\nversion = \"{version}\"\n\n[[rule]]\nid = \"read\"\neffect = \"allow\"\n\
         caller = {{ kind = \"user\" }}\nmethods = [\"GET\"]\npath = \"/{path}\"\n"
    )
}

fn permits(policy: &dyn Policy, path: &str) -> bool {
    let (parts, ()) = Request::get(path).body(()).unwrap().into_parts();
    let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
    let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
    cx.set_principal(Arc::new(ada.finish()));
    match policy.decide(&Access::new(&parts, &cx)) {
        Step::Now(verdict) => matches!(verdict, Ok(Verdict::Permit(_))),
        Step::Later(_) => panic!("it waits"),
    }
}

/// What was recorded: part, action and version.
fn recorded(recorder: &MemoryRecorder) -> Vec<String> {
    let events = recorder.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::Config(event) => {
                Some(format!("{} {} {}", event.part, event.action, event.version))
            }
            _ => None,
        })
        .collect()
}

struct Stand {
    folder: Folder,
    clock: ManualClock,
    recorder: Arc<MemoryRecorder>,
}

impl Stand {
    fn new(first: &str) -> Self {
        let folder = Folder::new();
        folder.write(first);
        Self {
            folder,
            clock: ManualClock::default(),
            recorder: Arc::new(MemoryRecorder::new(64)),
        }
    }

    fn options(&self) -> PolicyOptions {
        let recorder: Arc<dyn Recorder> = self.recorder.clone();
        PolicyOptions::new()
            .clock(self.clock.clone())
            .recorder(recorder)
    }

    fn open(&self) -> Result<LivePolicy, PolicyErrors> {
        LivePolicy::open(self.folder.file(), self.options())
    }
}

#[test]
fn refuses_to_start_without_a_sound_policy() {
    for wrong in ["", "rule = 7", "[[rule]]\nid = \"x\"", "\u{0}"] {
        let stand = Stand::new(wrong);
        assert!(stand.open().is_err(), "{wrong:?}");
        assert_eq!(recorded(&stand.recorder), ["policy refused "]);
    }
    let stand = Stand::new("");
    fs::remove_file(stand.folder.file()).unwrap();
    let errors = stand.open().unwrap_err().to_string();
    assert!(errors.contains("policy.toml"), "{errors}");
    fs::create_dir(stand.folder.file()).unwrap();
    let errors = stand.open().unwrap_err().to_string();
    assert!(errors.contains("it is not a file"), "{errors}");
    let big = Stand::new(&"#".repeat(16 * 1024 * 1024 + 1));
    let errors = big.open().unwrap_err().to_string();
    assert!(errors.contains("it is larger than"), "{errors}");
}

/// A policy that is followed reads no more than one that is read once.
#[cfg(unix)]
#[test]
fn refuses_files_outside_of_its_folder() {
    let outside = Folder::new();
    let cedar = outside.0.join("a.cedar");
    fs::write(&cedar, "@id(\"a\") permit(principal, action, resource);").unwrap();
    let stand = Stand::new("[cedar]\nfiles = [\"a.cedar\"]\n");
    std::os::unix::fs::symlink(&cedar, stand.folder.0.join("a.cedar")).unwrap();
    let read = CompiledPolicy::read(stand.folder.file(), &stand.options());
    for errors in [stand.open().unwrap_err(), read.unwrap_err()] {
        let errors = errors.to_string();
        assert!(errors.contains("out of the policy's folder"), "{errors}");
    }
    let stand = Stand::new("[cedar]\nfiles = [\"../a.cedar\"]\n");
    let errors = stand.open().unwrap_err().to_string();
    assert!(errors.contains("leaves the folder"), "{errors}");
}

#[tokio::test]
async fn what_cannot_be_loaded_leaves_the_last_good_policy() {
    let stand = Stand::new(&text(1, "prices"));
    let policy = stand.open().unwrap();
    assert!(permits(&policy, "/prices"));
    for wrong in ["no toml [", "policy = \"shop\""] {
        stand.folder.write(wrong);
        // Told once for as long as it is the same.
        for _ in 0..2 {
            let errors = policy.reload().await.unwrap_err();
            let status = policy.status();
            assert_eq!(status.last_error.as_deref(), Some(&*errors.to_string()));
            assert_eq!(status.generation, 1);
            assert!(permits(&policy, "/prices"));
        }
    }
    fs::remove_file(stand.folder.file()).unwrap();
    policy.reload().await.unwrap_err();
    assert!(permits(&policy, "/prices"));
    stand.folder.write(&text(2, "orders"));
    assert_eq!(policy.reload().await, Ok(Reloaded::Replaced(2)));
    assert_eq!(policy.status().last_error, None);
    assert_eq!(
        [permits(&policy, "/prices"), permits(&policy, "/orders")],
        [false, true]
    );
    assert_eq!(
        recorded(&stand.recorder),
        [
            "policy loaded 1",
            "policy refused ",
            "policy refused ",
            "policy refused ",
            "policy loaded 2"
        ]
    );
    let details = stand
        .recorder
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Config(event) => event.detail,
            _ => None,
        });
    let details: Vec<_> = details.collect();
    assert!(
        details[1].starts_with("version `1` stays in force: "),
        "{details:?}"
    );
}

#[tokio::test]
async fn what_has_not_changed_is_confirmed() {
    let stand = Stand::new(&text(1, "prices"));
    let policy = stand.open().unwrap();
    stand.clock.advance(Duration::from_secs(60));
    assert_eq!(policy.status().age, Duration::from_secs(60));
    assert_eq!(policy.reload().await, Ok(Reloaded::Unchanged));
    let status = policy.status();
    assert_eq!((status.generation, status.age), (1, Duration::ZERO));
    // Another text under the same version is another policy.
    stand.folder.write(&text(1, "orders"));
    assert_eq!(policy.reload().await, Ok(Reloaded::Replaced(2)));
    assert!(permits(&policy, "/orders"));
    assert_eq!(
        recorded(&stand.recorder),
        ["policy loaded 1", "policy loaded 1"]
    );
}

#[test]
fn a_look_that_follows_takes_what_two_looks_have_found() {
    let stand = Stand::new(&text(1, "prices"));
    let (options, file) = (stand.options(), stand.folder.file());
    let files: Arc<dyn Source> = Arc::new(Files::new(&file, &options));
    let mut looks = Looks::first(files, None, &options).unwrap();
    let live = Live::new(looks.policy(), stand.clock.clone());
    let mut look = |settles| looks.look(&live, &options, settles).unwrap();
    assert_eq!(look(true), Reloaded::Unchanged);
    // Half of a file may be a policy as well.
    stand.folder.write(&text(2, "{rest..}"));
    assert_eq!(look(true), Reloaded::Settling);
    stand.folder.write(&text(2, "orders"));
    assert_eq!(look(true), Reloaded::Settling);
    assert_eq!(look(true), Reloaded::Replaced(2));
    assert_eq!(look(true), Reloaded::Unchanged);
    // What was taken back was never there.
    stand.folder.write(&text(3, "{rest..}"));
    assert_eq!(look(true), Reloaded::Settling);
    stand.folder.write(&text(2, "orders"));
    assert_eq!(look(true), Reloaded::Unchanged);
    stand.folder.write(&text(3, "{rest..}"));
    assert_eq!(look(true), Reloaded::Settling);
    // Who asks for it has it at once.
    assert_eq!(look(false), Reloaded::Replaced(3));
}

#[test]
fn a_file_that_is_another_one_at_each_look_is_not_said_to_be_confirmed() {
    let stand = Stand::new(&text(1, "prices"));
    let (options, file) = (stand.options(), stand.folder.file());
    let files: Arc<dyn Source> = Arc::new(Files::new(&file, &options));
    let mut looks = Looks::first(files, None, &options).unwrap();
    let live = Live::new(looks.policy(), stand.clock.clone());
    let mut version = 1;
    let mut look = |writes: bool| {
        if writes {
            version += 1;
            stand.folder.write(&text(version, "orders"));
        }
        stand.clock.advance(Duration::from_secs(1));
        looks.look(&live, &options, true)
    };
    let status = || (live.status().age.as_secs(), live.status().last_error);
    assert_eq!(look(false), Ok(Reloaded::Unchanged));
    assert_eq!(status(), (0, None));
    // Somebody saves twice.
    for age in 1..=2 {
        assert_eq!(look(true), Ok(Reloaded::Settling));
        assert_eq!(status(), (age, None));
    }
    for age in 3..=5 {
        let errors = look(true).unwrap_err().to_string();
        assert!(
            errors.contains("each look has found something else"),
            "{errors}"
        );
        assert_eq!(status(), (age, Some(errors.into())));
    }
    assert_eq!(live.status().generation, 1);
    let told = ["policy loaded 1", "policy refused "];
    assert_eq!(recorded(&stand.recorder), told, "told once");
    // At rest it is taken, and all is well.
    assert_eq!(look(false), Ok(Reloaded::Replaced(2)));
    assert_eq!(status(), (0, None));
    assert_eq!(look(true), Ok(Reloaded::Settling));
    assert_eq!(look(false), Ok(Reloaded::Replaced(3)));
}

#[test]
fn two_looks_with_a_broken_file_between_them_are_not_two_in_a_row() {
    let stand = Stand::new(&text(1, "prices"));
    let (options, file) = (stand.options(), stand.folder.file());
    let files: Arc<dyn Source> = Arc::new(Files::new(&file, &options));
    let mut looks = Looks::first(files, None, &options).unwrap();
    let live = Live::new(looks.policy(), stand.clock.clone());
    // Each is a half of what is written over and over.
    stand.folder.write(&text(2, "{rest..}"));
    assert_eq!(looks.look(&live, &options, true), Ok(Reloaded::Settling));
    stand.folder.write("[[rule");
    assert!(looks.look(&live, &options, true).is_err());
    stand.folder.write(&text(2, "{rest..}"));
    assert_eq!(looks.look(&live, &options, true), Ok(Reloaded::Settling));
    assert_eq!(looks.look(&live, &options, true), Ok(Reloaded::Replaced(2)));
}

/// A clock that tells how many wait.
#[derive(Debug, Clone, Default)]
struct Counting(ManualClock, Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Result<Timestamp, ClockError> {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.sleep(span)
    }
}

#[tokio::test]
async fn a_policy_that_is_followed_is_replaced_by_itself_until_nobody_has_it() {
    let stand = Stand::new(&text(1, "prices"));
    let policy = stand.open().unwrap();
    let following = tokio::spawn(policy.follow(Duration::from_secs(1)));
    stand.folder.write(&text(2, "orders"));
    while policy.status().generation == 1 {
        tokio::task::yield_now().await;
        stand.clock.advance(Duration::from_millis(500));
    }
    assert_eq!(policy.current().version(), "2");
    drop(policy);
    while !following.is_finished() {
        tokio::task::yield_now().await;
        stand.clock.advance(Duration::from_secs(1));
    }
    following.await.unwrap();
}

fn made(text: &str) -> Result<CompiledPolicy, PolicyErrors> {
    CompiledPolicy::from_toml(text, &PolicyOptions::new())
}

#[tokio::test]
async fn a_look_that_panics_or_hangs_has_failed_and_there_is_another() {
    let turn = Arc::new(AtomicUsize::new(0));
    let (go_on, waits) = mpsc::channel::<()>();
    let (at, waits) = (Arc::clone(&turn), StdMutex::new(waits));
    let load = move || match at.fetch_add(1, Ordering::SeqCst) {
        0 => made(&text(1, "prices")),
        1 => panic!("on purpose"),
        2 => {
            waits.lock().unwrap().recv().unwrap();
            made(&text(2, "orders"))
        }
        _ => made(&text(3, "orders")),
    };
    let clock = Counting::default();
    let options = PolicyOptions::new().clock(clock.clone());
    let policy = LivePolicy::load_with(load, options).unwrap();

    policy.reload().await.unwrap_err();
    assert!(permits(&policy, "/prices"));
    assert!(
        policy
            .status()
            .last_error
            .unwrap()
            .contains("could not be looked at")
    );

    let before = clock.1.load(Ordering::SeqCst);
    let (hangs, ()) = tokio::join!(policy.reload(), async {
        assert_eq!(clock.1.load(Ordering::SeqCst), before + 1);
        clock.0.advance(DEADLINE);
    });
    let error = hangs.unwrap_err().to_string();
    assert!(error.contains("10 s"), "{error}");
    assert!(permits(&policy, "/prices"));
    // What it finds in the end counts, and only then is looked again.
    go_on.send(()).unwrap();
    assert_eq!(policy.reload().await, Ok(Reloaded::Replaced(3)));
    assert_eq!(turn.load(Ordering::SeqCst), 4);
    assert_eq!(policy.current().version(), "3");
}

#[tokio::test]
async fn a_function_that_gives_the_same_policy_confirms_it() {
    let text = Arc::new(StdMutex::new(text(1, "prices")));
    let from = Arc::clone(&text);
    let load = move || made(&from.lock().unwrap());
    let policy = LivePolicy::load_with(load, PolicyOptions::new()).unwrap();
    assert_eq!(policy.reload().await, Ok(Reloaded::Unchanged));
    *text.lock().unwrap() = self::text(1, "orders");
    assert_eq!(policy.reload().await, Ok(Reloaded::Replaced(2)));
    *text.lock().unwrap() = "policy = 7".to_owned();
    policy.reload().await.unwrap_err();
    assert!(permits(&policy, "/orders"));
}

#[tokio::test]
async fn an_edition_stays_what_it_is() {
    let stand = Stand::new(&text(1, "prices"));
    let policy = stand.open().unwrap();
    let edition = policy.edition().unwrap();
    stand.folder.write(&text(2, "orders"));
    policy.reload().await.unwrap();
    assert!(permits(&*edition, "/prices") && !permits(&*edition, "/orders"));
    assert!(permits(&policy, "/orders") && !permits(&policy, "/prices"));
    let (name, version) = edition.known_as().unwrap();
    assert_eq!((&*name, &*version), ("shop", "1"));
    assert_eq!(&*policy.known_as().unwrap().1, "2");
}

#[tokio::test]
async fn a_candidate_is_loaded_with_it_and_keeps_nothing_from_being_replaced() {
    let stand = Stand::new(&text(1, "prices"));
    let candidate = Folder::new();
    candidate.write("no toml [");
    assert!(stand.open().unwrap().candidate(candidate.file()).is_err());
    candidate.write(&text(8, "orders"));
    let policy = stand.open().unwrap().candidate(candidate.file()).unwrap();
    assert!(permits(&policy, "/prices") && !permits(&policy, "/orders"));
    let report = policy.dry_run_report();
    let changes: Vec<_> = report
        .changes
        .iter()
        .map(|change| {
            (
                change.candidate.as_deref(),
                change.would.as_str(),
                change.rule.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        changes,
        [
            (Some("8"), "deny", None),
            (Some("8"), "permit", Some("read"))
        ]
    );
    candidate.write("no toml [");
    stand.folder.write(&text(2, "refunds"));
    policy.reload().await.unwrap_err();
    assert!(permits(&policy, "/refunds"));
    assert_eq!(policy.status().generation, 2);
    assert!(policy.status().last_error.is_some());
    // The last good candidate is tried on.
    let report = policy.dry_run_report();
    assert_eq!(report.changes[0].candidate.as_deref(), Some("8"));
    candidate.write(&text(9, "refunds"));
    assert_eq!(policy.reload().await, Ok(Reloaded::Replaced(3)));
    assert!(permits(&policy, "/refunds"));
    assert!(policy.dry_run_report().changes.is_empty());
    let recorded = recorded(&stand.recorder);
    assert!(
        recorded.contains(&"policy-candidate refused ".to_owned()),
        "{recorded:?}"
    );
    assert_eq!(recorded.last().unwrap(), "policy-candidate loaded 9");
}

/// Folders that are swapped whole, as Kubernetes does, while they are read.
#[cfg(unix)]
#[test]
fn what_is_read_lay_there_at_one_moment() {
    use std::{os::unix::fs::symlink, sync::atomic::AtomicBool, thread};

    /// Ends the swapping, also where an assertion fails.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    let folder = Folder::new();
    let swap = |edition: u32| {
        let inner = folder.0.join(edition.to_string());
        fs::create_dir(&inner).unwrap();
        let main =
            format!("policy = \"shop\"\nversion = \"{edition}\"\n[cedar]\nfiles = [\"a.cedar\"]\n");
        fs::write(inner.join("policy.toml"), main).unwrap();
        let cedar = format!("@id(\"{edition}\") permit(principal, action, resource);\n");
        fs::write(inner.join("a.cedar"), cedar).unwrap();
        let next = folder.0.join("next");
        symlink(&inner, &next).unwrap();
        fs::rename(&next, folder.0.join("data")).unwrap();
    };
    swap(0);
    let files = Files::new(&folder.0.join("data/policy.toml"), &PolicyOptions::new());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let mut edition = 0;
            while !done.load(Ordering::SeqCst) && edition < 5000 {
                edition += 1;
                swap(edition);
            }
            edition
        });
        let ends = Done(&done);
        let mut whole = 0;
        for _ in 0..100 {
            // That they change all the time is an error too, and no mixture.
            let Ok((document, _)) = files.stand() else {
                continue;
            };
            let id = format!("@id(\"{}\")", document.version);
            assert!(document.cedar[0].text.starts_with(&id));
            whole += 1;
        }
        drop(ends);
        let swapped = swapping.join().unwrap();
        println!("{whole} of 100 readings came to an end over {swapped} swaps");
    });
    assert!(files.stand().is_ok());
}

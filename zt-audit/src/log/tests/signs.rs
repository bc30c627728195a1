use std::{
    sync::{Condvar, Mutex},
    time::Duration,
};

use super::*;

#[tokio::test]
async fn signs_what_is_durable_and_nothing_else() {
    let clock = ManualClock::default();
    let (log, disk) = log_with(Options::default().clock(clock));
    log.record(admin("a")).await.unwrap();
    disk.hold();
    log.record(admin("b")).detach();
    disk.wait_until_stalled();
    let signed = log.sign().unwrap();
    assert_eq!(signed.checkpoint().size, 3);
    assert_eq!(signed.checkpoint().origin, log.origin());
    assert_eq!(
        signed.verify(&log.verifier_key()).unwrap(),
        Some(Timestamp::from_secs(1_893_456_000))
    );
    disk.release();
    log.close().unwrap();
    assert_eq!(log.checkpoint().unwrap().checkpoint().size, 4);
    assert_eq!(log.health().signed, 4);
    let file = disk.state().files["checkpoint"].bytes.clone();
    assert_eq!(file, log.checkpoint().unwrap().encode().into_bytes());
}

#[tokio::test]
async fn a_signature_that_cannot_be_made_is_told_and_refuses_nothing() {
    let clock = ManualClock::default();
    let (log, disk) = log_with(Options::default().clock(clock.clone()));
    log.sign().unwrap();
    disk.state().fail_replace = Some(ENOSPC);
    assert!(matches!(log.sign(), Err(SignError::File(_))));
    assert!(log.health().unsigned.is_some());
    log.record(permit()).await.unwrap();
    disk.state().fail_replace = None;
    clock.fail();
    assert!(matches!(log.sign(), Err(SignError::Clock(_))));
    log.record(permit()).await.unwrap();
    assert!(log.health().is_writable());
    let clock = ManualClock::default();
    drop((log, clock));
}

#[tokio::test]
async fn checkpoints_go_to_the_hook_and_one_that_panics_or_hangs_stops_nothing() {
    let gate = Arc::new((Mutex::new((Vec::new(), false)), Condvar::new()));
    let (seen, calls) = (Arc::clone(&gate), AtomicUsize::new(0));
    let options = Options::default()
        .clock(ManualClock::default())
        .on_checkpoint(move |signed| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            assert_ne!(call, 0, "the first call fails");
            let mut state = seen.0.lock().unwrap();
            state.0.push(signed.checkpoint().size);
            seen.1.notify_all();
            // It hangs until it is let go.
            while !state.1 {
                state = seen.1.wait(state).unwrap();
            }
        });
    std::panic::set_hook(Box::new(|_| {}));
    let (log, _disk) = log_with(options);
    let mut size = 0;
    // The first is the keeper's, when the log is opened.
    while gate.0.lock().unwrap().0.is_empty() {
        log.record(admin("news")).await.unwrap();
        size = log.sign().unwrap().checkpoint().size;
    }
    let _ = std::panic::take_hook();
    log.record(admin("more")).await.unwrap();
    assert_eq!(log.sign().unwrap().checkpoint().size, size + 1);
    gate.0.lock().unwrap().1 = true;
    gate.1.notify_all();
    log.close().unwrap();
    // The latest came, however many there were meanwhile.
    assert_eq!(gate.0.lock().unwrap().0.last(), Some(&(size + 1)));
}

#[tokio::test]
async fn the_keeper_signs_by_itself_while_there_is_news() {
    let (told, hears) = std::sync::mpsc::channel();
    let options = Options::default()
        .sign_every(Duration::from_millis(1))
        .on_checkpoint(move |signed| {
            let _ = told.send(signed.checkpoint().size);
        });
    let (log, _disk) = log_with(options);
    log.record(admin("news")).await.unwrap();
    while hears.recv_timeout(Duration::from_secs(20)).unwrap() < 3 {}
    assert!(log.health().signed >= 3);
}

/// Whoever asked held the writer's news while it waited for the signature, and the signature waited
/// for the news: the log stood still for good.
#[test]
fn asking_how_a_log_stands_while_it_signs_waits_for_nothing_and_stops_nothing() {
    let (log, disk) = log_with(Options::default().clock(ManualClock::default()));
    log.sign().unwrap();
    disk.hold_exchanges();
    thread::scope(|scope| {
        let signs = scope.spawn(|| log.sign());
        disk.wait_until_stalled();
        let asks = scope.spawn(|| {
            let health = log.health();
            (
                health.size,
                health.signed,
                log.checkpoint(),
                log.verifier_key(),
            )
        });
        // A disk that is held gives up after a while, and whoever waited for it comes too late.
        let (size, signed, checkpoint, key) = asks.join().unwrap();
        assert!(!signs.is_finished());
        assert_eq!((size, signed), (2, 2));
        assert!(checkpoint.unwrap().verify(&key).is_ok());
        disk.release();
        signs.join().unwrap().unwrap();
    });
}

/// The order of two locks, tried often.
#[test]
fn signing_writing_and_asking_go_on_beside_one_another() {
    let (log, disk) = log_with(Options::default().clock(ManualClock::default()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..300).for_each(|_| drop(log.health())));
            scope.spawn(|| (0..300).for_each(|_| drop(log.sign().unwrap())));
            scope.spawn(|| (0..300).for_each(|_| log.record(admin("a")).detach()));
        }
    });
    log.close().unwrap();
    assert_eq!(disk.records().len(), 600);
}

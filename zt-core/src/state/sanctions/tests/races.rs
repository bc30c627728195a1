use super::{super::view::View, *};

fn view() -> View {
    View::new(10)
}

fn impose(view: &View, sanction: Sanction) -> Change {
    let place = view.reserve(&sanction.key(), Timestamp::EPOCH).unwrap();
    view.impose(sanction, Timestamp::EPOCH, place)
}

#[test]
fn what_was_read_before_a_change_here_is_read_again() {
    let view = view();
    let key = revoke("t").key();
    let since = view.since(&key);
    let change = impose(&view, revoke("t"));
    assert!(!view.told(&change, None));
    // The store was asked before it had the sanction.
    assert_eq!(view.adopt(&key, since, None, Timestamp::EPOCH), Ok(false));
    assert!(view.get(&key).is_some());
    let since = view.since(&key);
    assert_eq!(view.adopt(&key, since, None, Timestamp::EPOCH), Ok(true));
    assert!(view.get(&key).is_none());
}

#[test]
fn news_of_a_place_that_is_being_told_is_looked_up_afterwards() {
    let view = view();
    let key = revoke("t").key();
    let change = impose(&view, revoke("t"));
    let since = view.since(&key);
    assert_eq!(view.adopt(&key, since, None, Timestamp::EPOCH), Ok(true));
    assert!(view.get(&key).is_some(), "it strikes until it is lifted");
    assert!(view.told(&change, Some(Arc::new(revoke("t")))));
}

#[test]
fn who_tells_an_older_change_does_not_tell_the_newer_one() {
    let view = view();
    let older = impose(&view, revoke("t"));
    let newer = impose(&view, revoke("t"));
    assert!(!view.told(&older, Some(Arc::new(revoke("t")))));
    assert!(view.untold().is_some());
    view.told(&newer, Some(Arc::new(revoke("t"))));
    assert!(view.untold().is_none());
}

#[test]
fn reading_the_whole_store_keeps_what_it_cannot_have_yet() {
    let view = view();
    let told = impose(&view, revoke("old"));
    view.told(&told, None);
    let untold = impose(&view, revoke("untold"));
    let generation = view.generation();
    let new = impose(&view, revoke("new"));
    view.told(&new, None);
    view.adopt_all(Vec::new(), generation, Timestamp::EPOCH)
        .unwrap();
    assert!(view.get(&revoke("old").key()).is_none());
    assert!(view.get(&revoke("untold").key()).is_some());
    assert!(view.get(&revoke("new").key()).is_some());
    // It still is the same change to whoever is telling it.
    assert!(view.told(&untold, Some(Arc::new(revoke("untold")))));
    assert!(view.untold().is_none());
}

use std::net::IpAddr;

use http::{Request, request::Parts};

use super::{
    pending::{Lost, Pending, Ticket},
    request::asks_for,
};

fn from(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn is_lost(lost: &mut Lost) -> bool {
    lost.try_recv() != Err(tokio::sync::oneshot::error::TryRecvError::Empty)
}

/// Which of these have lost their place.
fn lost(places: &mut [(Ticket, Lost)]) -> Vec<bool> {
    places.iter_mut().map(|(_, lost)| is_lost(lost)).collect()
}

#[test]
fn the_oldest_of_the_source_that_has_the_most_makes_room() {
    let pending = Pending::new(4);
    let mut places: Vec<_> = ["192.0.2.1", "192.0.2.7", "192.0.2.7", "192.0.2.7"]
        .map(|address| pending.enter(from(address)))
        .into();
    places.push(pending.enter(from("192.0.2.2")));
    assert_eq!(lost(&mut places), [false, true, false, false, false]);
    places.push(pending.enter(from("192.0.2.3")));
    assert_eq!(lost(&mut places), [false, true, true, false, false, false]);
    // All have one each now: the oldest of all goes.
    places.push(pending.enter(from("192.0.2.4")));
    assert_eq!(
        lost(&mut places),
        [true, true, true, false, false, false, false]
    );
    assert_eq!((pending.count(), pending.dropped()), (4, 3));
    drop(places);
    assert_eq!((pending.count(), pending.dropped()), (0, 3));
}

#[test]
fn one_half_of_an_ipv6_address_is_a_source() {
    let pending = Pending::new(3);
    let mut places: Vec<_> = ["2001:db8:1::1", "2001:db8:0:0:1::1", "2001:db8:0:0:2::1"]
        .map(|address| pending.enter(from(address)))
        .into();
    places.push(pending.enter(from("::ffff:192.0.2.1")));
    assert_eq!(lost(&mut places), [false, true, false, false]);
}

#[test]
fn who_said_hello_makes_no_room_for_who_did_not() {
    let pending = Pending::new(2);
    let (good, mut good_lost) = pending.enter(from("192.0.2.1"));
    good.hello();
    let silent: Vec<_> = (0..100).map(|_| pending.enter(from("192.0.2.1"))).collect();
    assert!(!is_lost(&mut good_lost));
    assert_eq!((pending.count(), pending.dropped()), (3, 98));
    // A hello of one that was dropped already brings nothing back.
    silent[0].0.hello();
    assert_eq!(pending.count(), 3);
    // There is an end to those who stall after their hello, too.
    silent[98].0.hello();
    silent[99].0.hello();
    assert!(is_lost(&mut good_lost));
    assert_eq!(pending.count(), 2);
    drop((good, silent));
    assert_eq!(pending.count(), 0);
}

#[test]
fn room_is_made_when_descriptors_run_out_and_at_the_end() {
    let pending = Pending::new(100);
    let mut places: Vec<_> = (0..10).map(|_| pending.enter(from("192.0.2.1"))).collect();
    pending.drop_some(3);
    let expected: Vec<_> = (0..10).map(|place| place < 3).collect();
    assert_eq!(lost(&mut places), expected);
    pending.drop_some(1000);
    assert_eq!(pending.count(), 0);
    let (_last, mut its) = pending.enter(from("192.0.2.1"));
    pending.clear();
    assert!(is_lost(&mut its));
    pending.drop_some(1);
}

fn parts(target: &str, hosts: &[&str]) -> Parts {
    let mut request = Request::get(target);
    for host in hosts {
        request = request.header("host", *host);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_request_is_for_the_host_of_the_handshake_in_all_places_that_name_one() {
    let good: [(&str, &[&str]); 5] = [
        ("/", &["pay.example"]),
        ("/", &["PAY.example.:443"]),
        ("https://pay.example/", &[]),
        ("https://pay.example/", &["pay.example"]),
        ("*", &["pay.example", "pay.example:443"]),
    ];
    for (target, hosts) in good {
        assert!(
            asks_for(&parts(target, hosts), "pay.example"),
            "{target} {hosts:?}"
        );
    }
    let bad: [(&str, &[&str]); 9] = [
        ("/", &[]),
        ("/", &[""]),
        ("/", &["pay.example.evil"]),
        ("/", &["evil@pay.example@evil"]),
        ("/", &["pay.example", "evil.example"]),
        ("/", &["evil.example", "pay.example"]),
        ("https://evil.example/", &["pay.example"]),
        ("https://pay.example/", &["evil.example"]),
        ("https://pay.example@evil.example/", &["pay.example"]),
    ];
    for (target, hosts) in bad {
        assert!(
            !asks_for(&parts(target, hosts), "pay.example"),
            "{target} {hosts:?}"
        );
    }
}

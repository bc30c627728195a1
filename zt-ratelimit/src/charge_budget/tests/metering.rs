use std::sync::Arc;

use super::*;
use crate::limits::{Bounded, Hard};

/// A unit a byte, each 0.1 USD.
fn bytes() -> Price {
    Price::per_million(usd("100000"))
}

fn hard(bank: &Bank, estimate: &str) -> ChargeBudgetLayer<Hard, Cost> {
    let charge = fixed(bank, estimate);
    charge.metered(bytes(), |data| data.len() as u64).unwrap()
}

fn bounded(bank: &Bank, estimate: &str) -> ChargeBudgetLayer<Bounded, Cost> {
    let limits = bank.limits.clone();
    let charge = ChargeBudgetLayer::bounded(limits, Who::by_principal(), usd(estimate)).unwrap();
    charge.metered(bytes(), |data| data.len() as u64).unwrap()
}

async fn pieces(response: Response<Body>) -> (Vec<Bytes>, Option<Denial>) {
    let mut body = response.into_body();
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => out.push(frame.into_data().unwrap()),
            Err(error) => return (out, error.downcast_ref::<Denial>().cloned()),
        }
    }
    (out, None)
}

#[tokio::test]
async fn a_stream_is_cut_off_at_the_piece_for_which_there_is_no_room() {
    // From no estimate at all, from one that is too small, and from one that is the whole budget.
    for estimate in ["0", "0.35", "1"] {
        let bank = Bank::daily("1");
        let service = bank.stand(
            hard(&bank, estimate),
            answers(|_| {}, &["abcd", "efghi", "j", "k", "l"]),
        );
        let (out, cut) = pieces(service.ask(get("/dear")).await).await;
        assert_eq!(out, ["abcd", "efghi", "j"], "{estimate}");
        let cut = cut.expect("it is cut off");
        assert_eq!(cut.code(), Code::BudgetExhausted);
        assert_eq!(cut.violated_policies(), [Arc::<str>::from("day")]);
        assert_eq!(bank.spent(), 1_000_000, "to the last unit and no further");
    }
}

#[tokio::test]
async fn a_stream_that_is_cheaper_than_its_estimate_is_charged_what_went_out() {
    for (make, spent) in [
        (&["abc"][..], 300_000),
        (&["ab", "c", "d"], 400_000),
        (&[], 0),
    ] {
        let bank = Bank::daily("1");
        let service = bank.stand(hard(&bank, "0.9"), answers(|_| {}, make));
        let (_, cut) = pieces(service.ask(get("/dear")).await).await;
        assert!(cut.is_none());
        assert_eq!(bank.spent(), spent);
    }
}

#[tokio::test]
async fn units_are_rounded_up_once_for_the_whole_answer() {
    let bank = Bank::daily("1");
    // A tenth of a nano-unit each.
    let tiny = Price::from_picos(100, usd("1").currency());
    let charge = fixed(&bank, "0").metered(tiny, |_| 1).unwrap();
    let service = bank.stand(charge, answers(|_| {}, &["a"; 15]));
    let (out, _) = pieces(service.ask(get("/dear")).await).await;
    assert_eq!(out.len(), 15);
    assert_eq!(bank.cell("alice", "alice", "day"), (2, 0));
}

#[tokio::test]
async fn a_piece_waits_for_the_store() {
    let bank = Bank::daily("1");
    let service = bank.stand(hard(&bank, "0.1"), answers(|_| {}, &["a", "bc"]));
    let mut body = service.ask(get("/dear")).await.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
    bank.store.slow();
    let mut next = Box::pin(body.frame());
    for _ in 0..3 {
        assert!(poll(&mut next).is_pending());
    }
    bank.store.answer();
    let piece = next.await.unwrap().unwrap();
    assert_eq!(piece.into_data().unwrap(), "bc");
    drop(body);
    assert_eq!(bank.spent(), 300_000);
}

#[tokio::test]
async fn a_stream_that_is_dropped_while_a_piece_waits_is_charged_what_went_out() {
    let bank = Bank::daily("1");
    let service = bank.stand(hard(&bank, "0.1"), answers(|_| {}, &["a", "bc"]));
    let mut body = service.ask(get("/dear")).await.into_body();
    body.frame().await.unwrap().unwrap();
    bank.store.slow();
    assert!(poll(&mut Box::pin(body.frame())).is_pending());
    drop(body);
    bank.store.answer();
    settle_down().await;
    assert_eq!(bank.spent(), 100_000);
}

#[tokio::test]
async fn a_store_that_goes_down_cuts_hard_streams_off_and_not_bounded_ones() {
    let bank = Bank::daily("1");
    let service = bank.stand(hard(&bank, "0.1"), answers(|_| {}, &["a", "b"]));
    let response = service.ask(get("/dear")).await;
    bank.store.down(true);
    let (out, cut) = pieces(response).await;
    assert_eq!(out, ["a"], "what it holds may be spent");
    assert_eq!(cut.unwrap().code(), Code::StoreUnavailable);
    assert_eq!(bank.spent(), 100_000);

    let bank = Bank::daily("1");
    let service = bank.stand(bounded(&bank, "0.1"), answers(|_| {}, &["a", "b"]));
    let response = service.ask(get("/dear")).await;
    bank.store.down(true);
    let (out, cut) = pieces(response).await;
    assert_eq!((out.len(), cut.is_none()), (2, true));
    assert_eq!(bank.spent(), 200_000);
}

#[tokio::test]
async fn a_bounded_stream_goes_on_and_is_charged_in_full() {
    let bank = Bank::daily("1");
    let service = bank.stand(
        bounded(&bank, "0.5"),
        answers(|_| {}, &["abcdef", "ghijkl"]),
    );
    let (out, cut) = pieces(service.ask(get("/dear")).await).await;
    assert_eq!((out.len(), cut.is_none()), (2, true));
    assert_eq!((bank.spent(), bank.told("overrun")), (1_200_000, 1));
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::BudgetExhausted);
}

#[tokio::test]
async fn a_meter_that_counts_more_than_can_be_counted_cuts_off() {
    let bank = Bank::daily("1");
    let charge = fixed(&bank, "0.1").metered(bytes(), |_| u64::MAX).unwrap();
    let (out, cut) = pieces(bank.stand(charge, hello()).ask(get("/dear")).await).await;
    assert!(out.is_empty());
    assert_eq!(cut.unwrap().code(), Code::BudgetExhausted);
    assert_eq!(bank.spent(), 0);
    let limits = bank.limits.clone();
    let charge = ChargeBudgetLayer::bounded(limits, Who::by_principal(), usd("0.1")).unwrap();
    let charge = charge.metered(bytes(), |_| u64::MAX).unwrap();
    let service = bank.stand(charge, answers(|_| {}, &["a", "b", "c"]));
    let (out, _) = pieces(service.ask(get("/dear")).await).await;
    assert_eq!(out.len(), 3);
    assert!(bank.spent() > 1_000_000);
    assert_eq!(
        code(&service.ask(get("/dear")).await),
        Code::BudgetExhausted
    );
}

#[tokio::test]
async fn holds_grow_in_steps_where_there_is_room_and_to_the_piece_where_there_is_none() {
    let bank = Bank::daily("1");
    let charge = hard(&bank, "0").in_steps_of(usd("0.4"));
    let service = bank.stand(
        charge,
        answers(|_| {}, &["a", "b", "cdef", "g", "hij", "k"]),
    );
    let mut body = service.ask(get("/dear")).await.into_body();
    let mut held = Vec::new();
    while let Some(Ok(_)) = body.frame().await {
        held.push(bank.held());
    }
    assert_eq!(held, [400_000, 400_000, 800_000, 800_000, 1_000_000]);
    drop(body);
    assert_eq!(bank.spent(), 1_000_000);
}

#[tokio::test]
async fn a_hold_lives_as_long_as_pieces_go_out() {
    for metered in [true, false] {
        let bank = Bank::daily("1");
        let charge = fixed(&bank, "0.6");
        let charge = match metered {
            true => charge.metered(bytes(), |data| data.len() as u64).unwrap(),
            false => charge,
        };
        let service = bank.stand(charge, answers(|_| {}, &["a", "b", "c", "d", "e", "f"]));
        let mut body = service.ask(get("/dear")).await.into_body();
        // Three holds' lives, all in all.
        for _ in 0..5 {
            body.frame().await.unwrap().unwrap();
            bank.clock.advance(Duration::from_secs(36));
            let _ = bank.store.counters.expire(100, bank.now()).wait().await;
        }
        assert_eq!(bank.held(), 600_000, "{metered}");
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(bank.spent(), 600_000);
    }
}

#[tokio::test]
async fn an_answer_that_upgrades_the_connection_cannot_be_metered() {
    let upgrades = || {
        answers(
            |response| *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS,
            &[],
        )
    };
    let bank = Bank::daily("1");
    let refused = bank
        .stand(hard(&bank, "0.1"), upgrades())
        .ask(get("/dear"))
        .await;
    assert_eq!(code(&refused), Code::StackMisordered);
    drop(refused);
    assert_eq!(bank.spent(), 100_000);
    // Where nothing has to be metered it goes through, and costs what was held.
    for (layer, spent) in [
        (fixed(&bank, "0.1"), 200_000),
        (fixed(&bank, "0.2"), 400_000),
    ] {
        let served = bank.stand(layer, upgrades()).ask(get("/dear")).await;
        assert_eq!(served.status(), 101);
        assert_eq!(bank.spent(), spent);
    }
    let served = bank
        .stand(bounded(&bank, "0.1"), upgrades())
        .ask(get("/dear"))
        .await;
    assert_eq!(served.status(), 101);
    assert_eq!(bank.spent(), 500_000, "nobody knows more than the estimate");
}

#[tokio::test]
async fn an_answer_to_head_is_charged_what_was_held() {
    let bank = Bank::daily("1");
    let mut head = get("/dear");
    *head.method_mut() = Method::HEAD;
    let answer = bank.stand(hard(&bank, "0.3"), hello()).ask(head).await;
    assert_eq!(read(answer).await.unwrap(), "");
    assert_eq!(bank.spent(), 300_000);
}

#[tokio::test]
async fn a_failure_is_charged_what_was_metered_of_it() {
    for (failure, spent) in [
        (Failure::ChargeMetered, 200_000),
        (Failure::ChargeHold, 500_000),
        (Failure::Release, 0),
    ] {
        let bank = Bank::daily("1");
        let charge = hard(&bank, "0.5").on_failure(failure);
        let fails = answers(
            |response| *response.status_mut() = http::StatusCode::BAD_GATEWAY,
            &["oh"],
        );
        pieces(bank.stand(charge, fails).ask(get("/dear")).await).await;
        assert_eq!(bank.spent(), spent, "{failure:?}");
    }
    // One that breaks off was good so far, whatever failures cost.
    let bank = Bank::daily("1");
    let charge = hard(&bank, "0.5").on_failure(Failure::Release);
    let breaks = service_fn(|_: Request<()>| async {
        Ok(Response::new(frames(vec![
            data("abc"),
            Err("broken".into()),
            data("d"),
        ])))
    });
    pieces(bank.stand(charge, breaks).ask(get("/dear")).await).await;
    assert_eq!(bank.spent(), 300_000);
}

#[tokio::test]
async fn a_stack_that_observes_does_not_cut_off() {
    let bank = Bank::daily("1");
    let until = bank.clock.now().unwrap() + Duration::from_secs(3600);
    let settings = bank.settings().insecure_observe_only(until);
    let chain = Link::first(Names).then(hard(&bank, "0.5"));
    let service = bank.chain(
        chain,
        settings,
        answers(|_| {}, &["abcdef", "ghijkl", "mno"]),
    );
    let (out, cut) = pieces(service.ask(get("/dear")).await).await;
    assert_eq!((out.len(), cut.is_none()), (3, true));
    // What there was no room for is not charged: the rest fitted.
    assert_eq!(bank.spent(), 900_000);
}

//! Requests, answers and handlers that try to get more than they pay for.

use std::{pin::Pin, sync::atomic::AtomicUsize};

use http_body::Body as _;
use zt_core::gate::{FnCheck, Later};

use super::*;
use crate::limits::{Hard, Subjects};

/// A unit a byte, each 0.1 USD.
fn metered(bank: &Bank, estimate: &str) -> ChargeBudgetLayer<Hard, Cost> {
    let byte = Price::per_million(usd("100000"));
    let charge = fixed(bank, estimate);
    charge.metered(byte, |data| data.len() as u64).unwrap()
}

fn in_header(bank: &Bank, estimate: &str) -> ChargeBudgetLayer<Hard, Cost> {
    fixed(bank, estimate).actual_from(HeaderName::from_static("x-cost"))
}

/// A handler that does with its tab what `act` says, and answers with one byte.
fn puts<F, T>(
    act: F,
) -> impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    F: Fn(Tab) -> T + Clone + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    service_fn(move |request: Request<()>| {
        let acted = act(request.extensions().get::<Tab>().expect("a tab").clone());
        async move {
            acted.await;
            Ok(Response::new(frames(vec![data("a")])))
        }
    })
}

/// Polls a body on, whatever it says, until it is silent.
fn all_that_goes_out(response: Response<Body>) -> Vec<Bytes> {
    let mut body = response.into_body();
    let mut out = Vec::new();
    for _ in 0..20 {
        let task = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(task) {
            out.extend(frame.into_data());
        }
    }
    out
}

/// `charge` in a gate, and in it a service that calls another gate as often as `attempts` says and
/// answers with the last answer. `inner` is what that gate checks.
async fn retried<C: Check>(
    bank: &Bank,
    charge: C,
    attempts: usize,
    inner: impl Check,
    handler: impl Service<
        Request<()>,
        Response = Response<Frames>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static,
) -> Response<ZtBody<Body>> {
    let settings = Arc::new(bank.settings());
    let gate = GateLayer::new(Link::first(inner), Arc::clone(&settings)).layer(handler);
    let again = service_fn(move |request: Request<()>| {
        let gate = gate.clone();
        async move {
            let (parts, ()) = request.into_parts();
            let mut last = None;
            for _ in 0..attempts {
                let request = Request::from_parts(parts.clone(), ());
                last = Some(gate.clone().oneshot(request).await?);
            }
            Ok::<_, Infallible>(last.expect("an attempt"))
        }
    });
    let chain = Link::first(Names).then(charge);
    let service = GateLayer::new(chain, settings).layer(again);
    service.oneshot(get("/dear")).await.unwrap()
}

/// Refuses the requests whose numbers are there, counted from zero.
fn refuses(numbers: &'static [usize]) -> impl Check {
    let count = Arc::new(AtomicUsize::new(0));
    FnCheck::new(move |_: &mut Parts, _: &mut SecurityContext| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        match numbers.contains(&number) {
            true => Err(Code::RateLimited.into()),
            false => Ok(()),
        }
    })
}

#[tokio::test]
async fn a_retry_that_is_refused_does_not_undo_that_the_handler_ran() {
    let bank = Bank::daily("1");
    let refused = retried(&bank, fixed(&bank, "0.3"), 2, refuses(&[1]), hello()).await;
    assert_eq!(code(&refused), Code::RateLimited);
    drop(refused);
    assert_eq!(bank.spent(), 300_000);
    // Where none of them came to the handler, nothing is charged.
    let refused = retried(&bank, fixed(&bank, "0.3"), 2, refuses(&[0, 1]), hello()).await;
    assert_eq!(code(&refused), Code::RateLimited);
    assert_eq!(bank.spent(), 300_000);
    let served = retried(&bank, fixed(&bank, "0.3"), 2, refuses(&[0]), hello()).await;
    assert_eq!(served.status(), 200);
    drop(served);
    assert_eq!(bank.spent(), 600_000);
}

#[tokio::test]
async fn an_answer_after_a_refused_attempt_is_held_to_what_it_says() {
    let bank = Bank::daily("5");
    let says = answers(
        |response| drop(response.headers_mut().insert("x-cost", 2_000_000.into())),
        &["served"],
    );
    let refused = retried(&bank, in_header(&bank, "1"), 2, refuses(&[0]), says).await;
    assert_eq!(code(&refused), Code::BudgetExhausted);
    drop(refused);
    assert_eq!(bank.spent(), 1_000_000);

    let bank = Bank::daily("1");
    let served = retried(&bank, metered(&bank, "0.9"), 2, refuses(&[0]), hello()).await;
    served.into_body().collect().await.unwrap();
    assert_eq!(bank.spent(), 600_000, "what went out");
}

#[tokio::test]
async fn the_refusal_of_a_gate_further_in_is_neither_metered_nor_cut_off() {
    let bank = Bank::daily("1");
    let refused = retried(&bank, metered(&bank, "0"), 1, refuses(&[0]), hello()).await;
    assert_eq!(code(&refused), Code::RateLimited);
    let body = refused.into_body().collect().await.expect("all of it");
    assert!(body.to_bytes().starts_with(b"{"));
    assert_eq!(bank.spent(), 0);

    let panics = service_fn(|_: Request<()>| async { panic!("no") });
    let failed = retried(&bank, metered(&bank, "0.1"), 1, refuses(&[]), panics).await;
    assert_eq!(code(&failed), Code::HandlerPanicked);
    let body = failed.into_body().collect().await.expect("all of it");
    assert!(body.to_bytes().starts_with(b"{"));
    assert_eq!(bank.spent(), 100_000, "what was held");
}

#[tokio::test]
async fn a_check_further_in_that_panics_after_waiting_costs_nothing() {
    #[derive(Clone)]
    struct Panics;

    impl Check for Panics {
        type Guard = ();
        const NAME: &'static str = "panics";
        const STAGE: Stage = Stage::Anywhere;

        fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<()> {
            Step::Later(Later::new(async {
                tokio::task::yield_now().await;
                panic!("no")
            }))
        }
    }

    let bank = Bank::daily("1");
    let failed = retried(&bank, fixed(&bank, "0.3"), 1, Panics, hello()).await;
    assert_eq!(code(&failed), Code::HandlerPanicked);
    drop(failed);
    assert_eq!(bank.spent(), 0, "it never came to the handler");
}

#[tokio::test]
async fn nothing_goes_out_behind_the_end_of_a_metered_answer() {
    // Its length was a lie.
    let bank = Bank::daily("1");
    let short = answers(
        |response| drop(response.headers_mut().insert("content-length", 1.into())),
        &["a", "bcdefgh", "i"],
    );
    let out = all_that_goes_out(
        bank.stand(metered(&bank, "0.9"), short)
            .ask(get("/dear"))
            .await,
    );
    assert_eq!((out, bank.spent()), (vec![Bytes::from("a")], 100_000));

    // It goes on after it broke off.
    let bank = Bank::daily("1");
    let breaks = service_fn(|_: Request<()>| async {
        Ok(Response::new(frames(vec![
            data("a"),
            Err("broken".into()),
            data("bcdefgh"),
        ])))
    });
    let service = bank.stand(metered(&bank, "0.9"), breaks);
    let out = all_that_goes_out(service.ask(get("/dear")).await);
    assert_eq!((out, bank.spent()), (vec![Bytes::from("a")], 100_000));
}

#[tokio::test]
async fn an_answer_of_304_is_not_a_way_to_be_served_for_nothing() {
    let bank = Bank::daily("1");
    let unchanged = answers(
        |response| *response.status_mut() = http::StatusCode::NOT_MODIFIED,
        &["stray"],
    );
    let service = bank.stand(metered(&bank, "0.3"), unchanged);
    assert_eq!(read(service.ask(get("/dear")).await).await.unwrap(), "");
    assert_eq!(bank.spent(), 300_000);
}

#[tokio::test]
async fn what_is_spent_after_the_actual_cost_was_said_comes_on_top() {
    let bank = Bank::daily("1");
    let service = bank.stand(
        fixed(&bank, "1").with_tab(),
        puts(|tab| async move {
            tab.charge(usd("0.4")).await.unwrap();
            tab.actual(usd("0.9")).unwrap();
            assert!(tab.charge(usd("0.2")).await.is_err());
            tab.charge(usd("0.1")).await.unwrap();
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 1_000_000);

    // And so does what is metered.
    let bank = Bank::daily("1");
    let service = bank.stand(
        metered(&bank, "0.2").with_tab(),
        puts(|tab| async move { tab.actual(usd("0.15")).unwrap() }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 250_000);
}

#[tokio::test]
async fn an_answer_that_does_not_say_its_cost_leaves_what_the_tab_says() {
    let bank = Bank::daily("1");
    let service = bank.stand(
        in_header(&bank, "0.5").with_tab(),
        puts(|tab| async move {
            tab.charge(usd("0.1")).await.unwrap();
            tab.actual(usd("0.4")).unwrap();
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 400_000);
}

#[tokio::test]
async fn extensions_whose_answers_overtake_one_another_leave_the_hold_as_large_as_it_is() {
    let bank = Bank::daily("1");
    let store = bank.store.clone();
    let service = bank.stand(
        fixed(&bank, "0.1").with_tab(),
        puts(move |tab| {
            let store = store.clone();
            async move {
                store.slow();
                {
                    let mut one = Box::pin(tab.charge(usd("0.5")));
                    let mut two = Box::pin(tab.charge(usd("0.2")));
                    assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending());
                    store.answer();
                    store.answer();
                    assert!(matches!(poll(&mut two), Poll::Ready(Ok(()))));
                    assert!(matches!(poll(&mut one), Poll::Ready(Ok(()))));
                }
                assert_eq!(tab.held(), usd("0.7"));
                tab.actual(usd("0.65")).unwrap();
            }
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!((bank.spent(), bank.told("overrun")), (650_000, 0));
}

#[tokio::test]
async fn a_caller_without_limits_of_its_own_is_not_told_where_its_organisation_stands() {
    let month = Limit::budget("org-month", usd("1"), Window::month()).unwrap();
    let levels = [
        Level::new("organisation", [month]),
        Level::new("key", Vec::<Limit>::new()),
    ];
    let bank = Bank::of(Policy::new(levels).unwrap());
    let who = Who::of_request(|_, _| Some(Subjects::new(["acme", "key-1"])));
    let charge = ChargeBudgetLayer::hard(bank.limits.clone(), who, usd("0.6")).unwrap();
    let service = bank.stand(charge.with_headers(), hello());
    for status in [200, 429] {
        let answer = service.ask(get("/dear")).await;
        assert_eq!(answer.status(), status);
        for name in ["ratelimit", "ratelimit-policy"] {
            assert!(!answer.headers().contains_key(name), "{status}");
        }
    }
}

#[tokio::test]
async fn what_one_layer_holds_comes_back_at_once_where_the_next_one_refuses() {
    use crate::LimitRateLayer;

    let parallel = || {
        let one = Limit::concurrency("parallel", 1).unwrap();
        let bank = Bank::of(Policy::new([Level::new("key", [one])]).unwrap());
        LimitRateLayer::by_limits(bank.limits.clone(), Who::by_principal()).unwrap()
    };
    // The permit first: it is free again while the refusal is still unread.
    let bank = Bank::daily("0.5");
    let chain = Link::first(Names)
        .then(parallel())
        .then(fixed(&bank, "0.6"));
    let service = bank.chain(chain, bank.settings(), hello());
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::BudgetExhausted);
    let again = service.ask(get("/dear")).await;
    assert_eq!(code(&again), Code::BudgetExhausted);
    assert_eq!(bank.spent(), 0);
    drop((refused, again));

    // The money first.
    let bank = Bank::daily("5");
    let chain = Link::first(Names)
        .then(fixed(&bank, "0.6"))
        .then(parallel());
    let service = bank.chain(chain, bank.settings(), hello());
    let served = service.ask(get("/dear")).await;
    assert_eq!(served.status(), 200);
    let refused = service.ask(get("/dear")).await;
    assert_eq!(code(&refused), Code::ConcurrencyLimited);
    assert_eq!(bank.held(), 600_000, "that of the first");
    read(served).await.unwrap();
    assert_eq!(bank.spent(), 600_000);
    drop(refused);
    assert_eq!(service.ask(get("/dear")).await.status(), 200);
}

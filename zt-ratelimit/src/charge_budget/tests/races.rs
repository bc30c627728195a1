use futures_util::future::join_all;

use super::*;

/// Alice has five dollars, and so has everybody else of her tenant together.
fn five() -> Bank {
    Bank::of(
        Policy::new([
            Level::new(
                "tenant",
                [Limit::budget("tenant", usd("5"), Window::day()).unwrap()],
            ),
            Level::new(
                "key",
                [Limit::budget("day", usd("5"), Window::month()).unwrap()],
            ),
        ])
        .unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_never_spend_more_than_five_dollars_and_leave_no_hold() {
    let bank = five();
    let charge = ChargeBudgetLayer::hard(
        bank.limits.clone(),
        Who::by_tenant_and_principal(),
        usd("0.1"),
    )
    .unwrap()
    .metered(Price::per_million(usd("10000")), |data| data.len() as u64)
    .unwrap();
    // Half a cent a byte of six: 0.06 at most, where nobody goes away.
    let handler = service_fn(|_: Request<()>| async {
        tokio::task::yield_now().await;
        Ok(Response::new(frames(vec![data("abc"), data("def")])))
    });
    let service = bank.stand(charge, handler);
    let asks = (0..1000_u32).map(|place| {
        let service = service.clone();
        tokio::spawn(async move {
            let user = format!("acme/user-{}", place % 7);
            let request = Request::get("/dear")
                .header("x-user", user)
                .body(())
                .unwrap();
            let asked = service.ask(request);
            // Three of ten go away at some point.
            match place % 10 {
                0 => {
                    let mut asked = Box::pin(asked);
                    let _ = poll(&mut asked);
                    return 0;
                }
                1 => {
                    drop(asked.await);
                    return 0;
                }
                2 => {
                    read_one(asked.await).await;
                    return 0;
                }
                _ => {}
            }
            let response = asked.await;
            if response.status() != 200 {
                assert_eq!(code(&response), Code::BudgetExhausted);
                return 0;
            }
            read(response).await.map_or(0, |body| body.len() as u64)
        })
    });
    let served: u64 = join_all(asks).await.into_iter().map(Result::unwrap).sum();
    let (spent, held) = bank.cell("acme", "acme", "tenant");
    assert_eq!(held, 0);
    assert_eq!(bank.store.counters.live_holds(), 0);
    assert!(spent <= usd("5").nanos(), "{spent}");
    assert!(served * 10_000_000 <= spent, "{served} bytes for {spent}");
    // What is left can be spent, since nothing was lost on the way.
    loop {
        let request = Request::get("/dear")
            .header("x-user", "acme/late")
            .body(())
            .unwrap();
        let response = service.ask(request).await;
        if response.status() != 200 {
            break;
        }
        read(response).await.unwrap();
    }
    let (spent, held) = bank.cell("acme", "acme", "tenant");
    assert!(
        spent > usd("4.9").nanos() && spent <= usd("5").nanos(),
        "{spent}"
    );
    assert_eq!(held, 0);
}

#[tokio::test]
async fn wherever_a_request_is_dropped_nothing_stays_held() {
    // The store answers later, so that there are places to be dropped at.
    for polls in 0..40 {
        let bank = Bank::daily("5");
        bank.store.slow();
        let price = Price::per_million(usd("100000"));
        let charge = fixed(&bank, "0.1")
            .metered(price, |data| data.len() as u64)
            .unwrap();
        let handler = service_fn(|_: Request<()>| async {
            tokio::task::yield_now().await;
            Ok(Response::new(frames(vec![data("abc"), data("def")])))
        });
        let chain = Link::first(Names)
            .then(charge.with_tab())
            .then(stacks::Waits);
        let service = bank.chain(chain, bank.settings(), handler);
        let mut request = Box::pin(async {
            let response = service.ask(get("/dear")).await;
            read(response).await
        });
        let mut done = false;
        for _ in 0..polls {
            if poll(&mut request).is_ready() {
                done = true;
                break;
            }
            bank.store.answer();
            tokio::task::yield_now().await;
        }
        drop(request);
        for _ in 0..5 {
            bank.store.answer();
        }
        settle_down().await;
        assert_eq!(bank.held(), 0, "after {polls} polls");
        assert!(bank.spent() <= 600_000);
        assert!(done || polls < 30, "it comes to its end");
    }
}

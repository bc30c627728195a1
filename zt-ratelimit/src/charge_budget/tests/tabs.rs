use std::sync::Arc;

use super::*;
use crate::limits::{Bounded, Hard, SettleError};

fn hard(bank: &Bank, estimate: &str) -> ChargeBudgetLayer<Hard, Cost> {
    fixed(bank, estimate).with_tab()
}

/// A handler that does with its tab what `act` says.
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
        let tab: Tab = request.extensions().get::<Tab>().expect("a tab").clone();
        let acted = act(tab);
        async move {
            acted.await;
            Ok(Response::new(frames(vec![data("served")])))
        }
    })
}

#[tokio::test]
async fn what_a_handler_puts_on_its_tab_is_charged() {
    let bank = Bank::daily("1");
    let service = bank.stand(
        hard(&bank, "0.1"),
        puts(|tab| async move {
            tab.charge(usd("0.05")).await.unwrap();
            assert_eq!(tab.held(), usd("0.1"));
            tab.charge(usd("0.2")).await.unwrap();
            assert_eq!(tab.held(), usd("0.25"), "as much as is needed");
            // There is no room for this, and room for the next.
            let error = tab.charge(usd("0.8")).await.unwrap_err();
            assert_eq!(error.denial().code(), Code::BudgetExhausted);
            assert_eq!(
                error.denial().violated_policies(),
                [Arc::<str>::from("day")]
            );
            let euro = tab.charge("0.01 EUR".parse().unwrap()).await;
            assert_eq!(euro.unwrap_err().denial().code(), Code::StackMisordered);
            tab.charge(usd("0.75")).await.unwrap();
            assert!(tab.charge(usd("0.000000001")).await.is_err());
            tab.charge(usd("0")).await.unwrap();
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 1_000_000);
}

#[tokio::test]
async fn a_tab_that_is_not_used_costs_what_was_held() {
    let bank = Bank::daily("1");
    let service = bank.stand(hard(&bank, "0.1"), hello());
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 100_000);
}

#[tokio::test]
async fn the_actual_cost_is_what_the_handler_says_and_at_most_what_is_held() {
    for (said, spent, overruns) in [
        ("0.05", 50_000, 0),
        ("0.1", 100_000, 0),
        ("0.11", 100_000, 1),
    ] {
        let bank = Bank::daily("1");
        let service = bank.stand(
            hard(&bank, "0.1"),
            puts(move |tab| async move {
                let result = tab.actual(usd(said));
                let above = matches!(result, Err(SettleError::AboveHold { .. }));
                assert_eq!(above, said == "0.11");
                let euro = tab.actual("0.01 EUR".parse().unwrap());
                assert!(matches!(euro, Err(SettleError::Mismatch(..))));
            }),
        );
        read(service.ask(get("/dear")).await).await.unwrap();
        assert_eq!(
            (bank.spent(), bank.told("overrun")),
            (spent, overruns),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_bounded_tab_only_counts() {
    let bank = Bank::daily("1");
    let limits = bank.limits.clone();
    let charge: ChargeBudgetLayer<Bounded, Cost> =
        ChargeBudgetLayer::bounded(limits, Who::by_principal(), usd("0.1")).unwrap();
    let service = bank.stand(
        charge.with_tab(),
        puts(|tab| async move {
            tab.charge(usd("1.5")).await.unwrap();
            tab.charge(usd("0.5")).await.unwrap();
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 2_000_000);
    assert_eq!(
        code(&service.ask(get("/dear")).await),
        Code::BudgetExhausted
    );
}

#[tokio::test]
async fn nothing_goes_on_the_tab_of_a_request_that_is_over() {
    let bank = Bank::daily("1");
    let kept: Arc<std::sync::Mutex<Option<Tab>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let service = bank.stand(
        hard(&bank, "0.1"),
        puts(move |tab| {
            *keep.lock().unwrap() = Some(tab);
            async {}
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    let tab = kept.lock().unwrap().take().unwrap();
    assert!(tab.charge(usd("0.01")).await.is_err());
    assert_eq!(tab.held(), usd("0"));
    drop(tab);
    assert_eq!(bank.spent(), 100_000);
}

#[tokio::test]
async fn a_charge_that_nobody_waited_for_is_not_on_the_tab() {
    let bank = Bank::daily("1");
    let store = bank.store.clone();
    let service = bank.stand(
        hard(&bank, "0.1"),
        puts(move |tab| {
            let store = store.clone();
            async move {
                tab.charge(usd("0.1")).await.unwrap();
                store.slow();
                {
                    let mut charge = Box::pin(tab.charge(usd("0.4")));
                    assert!(poll(&mut charge).is_pending());
                }
                // There is room again for all of it.
                store.answer();
                tab.charge(usd("0.5")).await.unwrap();
            }
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    settle_down().await;
    assert_eq!(bank.spent(), 600_000);
}

#[tokio::test]
async fn charges_at_the_same_time_do_not_rely_on_the_same_room() {
    let bank = Bank::daily("1");
    let store = bank.store.clone();
    let service = bank.stand(
        hard(&bank, "0.3"),
        puts(move |tab| {
            let store = store.clone();
            async move {
                store.slow();
                let one = tokio::spawn({
                    let tab = tab.clone();
                    async move { tab.charge(usd("0.5")).await.is_ok() }
                });
                let two = tokio::spawn({
                    let tab = tab.clone();
                    async move { tab.charge(usd("0.6")).await.is_ok() }
                });
                settle_down().await;
                store.answer();
                store.answer();
                let (one, two) = (one.await.unwrap(), two.await.unwrap());
                assert!(one != two, "one of them fits");
            }
        }),
    );
    read(service.ask(get("/dear")).await).await.unwrap();
    let spent = bank.spent();
    assert!(spent == 500_000 || spent == 600_000, "{spent}");
}

#[tokio::test]
async fn a_handler_that_panics_is_charged_what_is_on_its_tab() {
    let bank = Bank::daily("1");
    let service = bank.stand(
        hard(&bank, "0.3"),
        puts(|tab| async move {
            tab.charge(usd("0.1")).await.unwrap();
            panic!("no");
        }),
    );
    assert_eq!(
        code(&service.ask(get("/dear")).await),
        Code::HandlerPanicked
    );
    assert_eq!(bank.spent(), 100_000);
}

#[tokio::test]
async fn a_tab_and_a_meter_add_up() {
    let bank = Bank::daily("1");
    let price = Price::per_million(usd("100000"));
    let charge = hard(&bank, "0.1")
        .metered(price, |data| data.len() as u64)
        .unwrap();
    let service = bank.stand(
        charge,
        puts(|tab| async move { tab.charge(usd("0.35")).await.unwrap() }),
    );
    // `served` is 0.6.
    read(service.ask(get("/dear")).await).await.unwrap();
    assert_eq!(bank.spent(), 950_000);
    assert_eq!(
        code(&service.ask(get("/dear")).await),
        Code::BudgetExhausted
    );
}

#[tokio::test]
async fn two_tabs_in_one_request_are_misordered() {
    let bank = Bank::daily("1");
    let chain = Link::first(Names)
        .then(hard(&bank, "0.1"))
        .then(hard(&bank, "0.1"));
    let refused = bank
        .chain(chain, bank.settings(), hello())
        .ask(get("/dear"))
        .await;
    assert_eq!(code(&refused), Code::StackMisordered);
    assert_eq!(bank.spent(), 0);
}

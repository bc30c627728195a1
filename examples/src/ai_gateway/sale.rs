//! An answer that is sold token by token: what it may cost is on the tab before the model is asked,
//! what it did cost is known after each token, and the rest comes back.

use zt_core::decision::{Code, Denial};
use zt_ratelimit::{Cost, charge_budget::Tab, cost::CostError};

use super::{
    model::{Answer, ChatRequest, Model},
    prices::ModelPrice,
};

/// An answer, and who pays for it.
#[derive(Debug)]
pub(super) struct Sale {
    tab: Tab,
    price: ModelPrice,
    input: u64,
    /// The tokens that may be said for what is on the tab.
    covered: u64,
    reserved: Cost,
    answer: Answer,
}

/// Without `max_tokens` so many tokens are reserved at a time, while there is room for them.
const STEP: u64 = 16;

impl Sale {
    /// Reserves what the request asks for, before the model is asked: all that it may cost, or
    /// where nobody knows, the first few tokens.
    pub(super) async fn open(
        tab: Tab,
        price: ModelPrice,
        request: &ChatRequest,
        model: &Model,
    ) -> Result<Self, Denial> {
        let input = request.input_tokens();
        let mut sale = Self {
            reserved: Cost::zero(price.currency()),
            tab,
            price,
            input,
            covered: 0,
            answer: model.answer(request),
        };
        match request.max_tokens {
            Some(most) => sale.cover(most).await?,
            None => sale.cover_some().await?,
        }
        sale.spent()?;
        Ok(sale)
    }

    /// The next token; nothing at the end of the answer.
    pub(super) async fn next(&mut self) -> Result<Option<&'static str>, Denial> {
        if self.answer.is_over() {
            return Ok(None);
        }
        if self.answer.said() == self.covered {
            self.cover_some().await?;
        }
        let word = self.answer.next().await;
        self.spent()?;
        Ok(word)
    }

    /// Tokens that were sent, and said.
    pub(super) const fn tokens(&self) -> (u64, u64) {
        (self.input, self.answer.said())
    }

    /// What it has cost.
    pub(super) fn cost(&self) -> Result<Cost, Denial> {
        let cost = self.price.cost(self.input, self.answer.said());
        cost.map_err(uncountable)
    }

    /// Why the answer ended where it did.
    pub(super) const fn finish_reason(&self) -> &'static str {
        self.answer.finish_reason()
    }

    /// As many as there is room for, down to one.
    async fn cover_some(&mut self) -> Result<(), Denial> {
        let mut step = STEP;
        loop {
            match self.cover(self.answer.said() + step).await {
                Err(denial) if denial.code() == Code::BudgetExhausted && step > 1 => step /= 2,
                covered => return covered,
            }
        }
    }

    /// Puts on the tab what so many tokens cost, beyond what is there.
    async fn cover(&mut self, tokens: u64) -> Result<(), Denial> {
        let cost = self.price.cost(self.input, tokens).map_err(uncountable)?;
        let more = cost.nanos().saturating_sub(self.reserved.nanos());
        let more = Cost::from_nanos(more, cost.currency());
        self.tab.charge(more).await?;
        (self.covered, self.reserved) = (tokens, cost);
        Ok(())
    }

    /// If the client is gone in a moment, this is what it is charged.
    fn spent(&self) -> Result<(), Denial> {
        let settled = self.tab.actual(self.cost()?);
        settled.map_err(|error| Denial::new(Code::BudgetExhausted).detail(error.to_string()))
    }
}

/// Nobody has so much money.
fn uncountable(error: CostError) -> Denial {
    Denial::new(Code::BudgetExhausted)
        .with_status(http::StatusCode::PAYMENT_REQUIRED)
        .detail(error.to_string())
}

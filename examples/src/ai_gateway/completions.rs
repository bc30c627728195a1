//! What clients call: `POST /v1/chat/completions`, in the shape of OpenAI's, and a route that hands
//! on whatever the model says.

use std::convert::Infallible;

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response, Sse, sse::Event},
    routing::post,
};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use zt_core::{
    context::SecurityContext,
    decision::{Code, Denial},
    extract::Refused,
};
use zt_ratelimit::charge_budget::Tab;

use super::{
    model::{Answer, ChatRequest, Model},
    prices::Prices,
    sale::Sale,
};

/// What the routes share.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) model: Model,
    pub(super) prices: Prices,
}

/// Behind a layer that hands out a [`Tab`].
pub(super) fn sold(offer: Offer) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .with_state(offer)
}

/// Behind a layer that meters what goes out: the handler knows nothing of money.
pub(super) fn metered(offer: Offer) -> Router {
    Router::new().route("/v1/raw", post(raw)).with_state(offer)
}

async fn complete(
    cx: SecurityContext,
    Extension(tab): Extension<Tab>,
    State(offer): State<Offer>,
    Json(request): Json<ChatRequest>,
) -> Response {
    let Some(price) = offer.prices.of(&request.model) else {
        return unknown(&request.model, &offer.prices);
    };
    let id = format!("chatcmpl-{}", cx.request_id());
    let told = Told {
        id,
        model: request.model.clone(),
    };
    match Sale::open(tab, price, &request, &offer.model).await {
        Err(denial) => Refused::by_handler(denial, &cx).into_response(),
        Ok(sale) if request.stream => Sse::new(events(told, sale)).into_response(),
        Ok(sale) => whole(&told, sale).await.into_response(),
    }
}

/// What each piece of an answer says of it.
struct Told {
    id: String,
    model: String,
}

impl Told {
    fn piece(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        json!({"id": self.id, "object": "chat.completion.chunk", "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
    }

    fn end(&self, sale: &Sale, reason: &str) -> Value {
        with_bill(self.piece(&json!({}), Some(reason)), sale)
    }
}

/// How far an answer has come.
enum Going {
    On(Box<Sale>),
    Said,
    Over,
}

/// One event a token, one that says how it ended, and `[DONE]`.
fn events(told: Told, sale: Sale) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (told, Going::On(Box::new(sale)));
    stream::unfold(state, |(told, going)| async move {
        let (data, going) = match going {
            Going::On(mut sale) => match sale.next().await {
                Ok(Some(token)) => {
                    let piece = told.piece(&json!({"content": token}), None);
                    (piece.to_string(), Going::On(sale))
                }
                Ok(None) => {
                    let end = told.end(&sale, sale.finish_reason());
                    (end.to_string(), Going::Said)
                }
                Err(denial) => (told.end(&sale, cut(&denial)).to_string(), Going::Said),
            },
            Going::Said => ("[DONE]".to_owned(), Going::Over),
            Going::Over => return None,
        };
        Some((Ok(Event::default().data(data)), (told, going)))
    })
}

/// The answer in one piece.
async fn whole(told: &Told, mut sale: Sale) -> Json<Value> {
    let mut content = String::new();
    let reason = loop {
        match sale.next().await {
            Ok(Some(token)) => content.push_str(token),
            Ok(None) => break sale.finish_reason(),
            Err(denial) => break cut(&denial),
        }
    };
    let answer = json!({"id": told.id, "object": "chat.completion", "model": told.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content},
            "finish_reason": reason}]});
    Json(with_bill(answer, &sale))
}

/// What was used, and what it cost.
fn with_bill(mut answer: Value, sale: &Sale) -> Value {
    let (input, said) = sale.tokens();
    if let Value::Object(fields) = &mut answer {
        let usage = json!({"prompt_tokens": input, "completion_tokens": said,
            "total_tokens": input + said});
        fields.insert("usage".to_owned(), usage);
        fields.insert("cost".to_owned(), json!(sale.cost().ok()));
    }
    answer
}

/// In the words of the API, and one of our own.
fn cut(denial: &Denial) -> &'static str {
    match denial.code() {
        Code::BudgetExhausted => "budget",
        _ => "error",
    }
}

fn unknown(model: &str, prices: &Prices) -> Response {
    let known: Vec<&str> = prices.models().collect();
    let message = format!(
        "`{model}` has no price here; there are {}",
        known.join(", ")
    );
    let error = json!({"message": message, "type": "invalid_request_error",
        "code": "model_not_found"});
    (StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response()
}

/// Every token as it comes, for as long as somebody lets it out.
async fn raw(
    State(offer): State<Offer>,
    Json(request): Json<ChatRequest>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let answer = offer.model.answer(&request);
    Sse::new(stream::unfold(answer, |mut answer: Answer| async move {
        let token = answer.next().await?;
        Some((Ok(Event::default().data(token)), answer))
    }))
}

/// How many tokens are in a piece of an answer of [`raw`].
pub(super) fn tokens_in(piece: &[u8]) -> u64 {
    let events = piece.windows(b"data:".len());
    events.filter(|at| *at == b"data:").count() as u64
}

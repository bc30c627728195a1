//! What stands in for a language model: it says words, one after another, and each costs money.

use std::{
    iter::Cycle,
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Deserialize;
use zt_core::clock::{Clock, SystemClock};

/// What is asked of a model, in the shape of OpenAI's chat completions. Fields that are not known
/// here are ignored.
#[derive(Debug, Clone, Deserialize)]
pub struct ChatRequest {
    /// Which model.
    pub model: String,
    /// What was said so far.
    pub messages: Vec<Message>,
    /// The most tokens that may be answered; without it the answer is as long as the money lasts.
    pub max_tokens: Option<u64>,
    /// Whether tokens are sent as they are said.
    #[serde(default)]
    pub stream: bool,
}

/// One thing that was said.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// By whom.
    pub role: String,
    /// What.
    pub content: String,
}

impl ChatRequest {
    /// How many tokens a model is charged for before it says anything: a word is a token here, and
    /// a message has four besides.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        let words = |text: &str| text.split_whitespace().count() as u64;
        let each = self.messages.iter();
        each.map(|message| words(&message.role) + words(&message.content) + 4)
            .sum()
    }

    /// How long an answer the caller would like: the first number in the last message.
    fn wanted(&self) -> u64 {
        let last = self.messages.last();
        last.into_iter()
            .flat_map(|message| message.content.split_whitespace())
            .find_map(|word| word.parse().ok())
            .unwrap_or(24)
    }
}

/// The model. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Model {
    pace: Duration,
    said: Arc<AtomicU64>,
}

impl Model {
    /// Takes `pace` for each token.
    #[must_use]
    pub fn new(pace: Duration) -> Self {
        Self {
            pace,
            said: Arc::default(),
        }
    }

    /// How many tokens it has said to everybody: what its provider would put on the bill.
    #[must_use]
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    /// Starts to answer.
    #[must_use]
    pub fn answer(&self, request: &ChatRequest) -> Answer {
        let wanted = request.wanted();
        Answer {
            model: self.clone(),
            words: WORDS.iter().cycle(),
            said: 0,
            most: request.max_tokens.unwrap_or(u64::MAX).min(wanted),
            wanted,
        }
    }
}

/// An answer that is being said. Dropped, the model falls silent.
#[derive(Debug)]
pub struct Answer {
    model: Model,
    words: Cycle<slice::Iter<'static, &'static str>>,
    said: u64,
    most: u64,
    wanted: u64,
}

impl Answer {
    /// The next token; nothing where the answer is at its end.
    pub async fn next(&mut self) -> Option<&'static str> {
        if self.is_over() {
            return None;
        }
        match self.model.pace.is_zero() {
            true => tokio::task::yield_now().await,
            false => SystemClock.sleep(self.model.pace).await,
        }
        let word = self.words.next()?;
        self.said += 1;
        self.model.said.fetch_add(1, Ordering::SeqCst);
        Some(word)
    }

    /// How many tokens it has said.
    #[must_use]
    pub const fn said(&self) -> u64 {
        self.said
    }

    /// Whether there is nothing left to say.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.said >= self.most
    }

    /// Why it ended, in the words of the API.
    #[must_use]
    pub const fn finish_reason(&self) -> &'static str {
        match self.said < self.wanted {
            true => "length",
            false => "stop",
        }
    }
}

const WORDS: [&str; 12] = [
    "each ",
    "of ",
    "these ",
    "words ",
    "has ",
    "its ",
    "price, ",
    "and ",
    "somebody ",
    "pays ",
    "for ",
    "it. ",
];

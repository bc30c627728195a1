//! todo
use serde_json::{Map, Value};
use crate::merkle::Hash;
pub fn map(fields: &Map<String, Value>, leaf: &Hash) -> Value { Value::Null }

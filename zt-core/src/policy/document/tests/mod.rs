mod files;
mod meaning;
mod reading;
mod slips;

use super::*;
use crate::policy::PolicyError;

/// The example of the module's documentation.
const EXAMPLE: &str = include_str!("permit_example.toml");

fn read_toml(text: &str, options: &PolicyOptions) -> Result<Document, PolicyErrors> {
    let main = SourceText {
        file: "policy.toml".into(),
        text: text.into(),
    };
    let cedar = |file: &str| match file {
        "missing.cedar" => Err(format!("`{file}` cannot be read: not found")),
        _ => Ok(Arc::from("permit(principal, action, resource);")),
    };
    parse(&main, &cedar, options)
}

fn errors(text: &str) -> Vec<PolicyError> {
    match read_toml(text, &PolicyOptions::new()) {
        Ok(document) => panic!("{document:#?}"),
        Err(errors) => errors.iter().cloned().collect(),
    }
}

use serde::Deserialize;

use super::Spire;
use crate::id::SpiffeId;

/// As it stands in a configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    endpoint: Option<String>,
    hint: Option<String>,
    spiffe_id: Option<String>,
}

impl TryFrom<Written> for Spire {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        // SPIFFE_Workload_Endpoint section 4: the variable counts where nothing else is configured.
        let spire = match written.endpoint {
            Some(endpoint) => Self::at(&endpoint),
            None => Self::from_env(),
        };
        let spire = spire.map_err(|error| error.to_string())?;
        match (written.hint, written.spiffe_id) {
            (None, None) => Ok(spire),
            (Some(hint), None) => Ok(spire.hint(hint)),
            (None, Some(id)) => match SpiffeId::parse(&id) {
                Ok(id) => Ok(spire.spiffe_id(id)),
                Err(error) => Err(format!("`{id}` is no SPIFFE ID: {error}")),
            },
            (Some(_), Some(_)) => Err("there are both `hint` and `spiffe_id`".to_owned()),
        }
    }
}

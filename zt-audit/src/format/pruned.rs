use serde::Deserialize;

use crate::merkle::{Frontier, Hash};

/// Where a log begins after older segments were dropped.
///
/// The file is `{"before":512,"root":"<64 hex>","hashes":["<64 hex>",..]}` and a newline: how many
/// records are gone, the root of the tree over them, and the roots of its complete subtrees from the
/// largest to the smallest, from which the tree goes on. It is not signed: a checkpoint over the
/// records that are left is, and it cannot be reached from other hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// The tree over the records that are gone.
    pub(crate) tree: Frontier,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    before: u64,
    #[serde(rename = "root")]
    _root: String,
    hashes: Vec<String>,
}

impl Pruned {
    /// How many records are gone: the first index that is there.
    pub(crate) const fn before(&self) -> u64 {
        self.tree.size()
    }

    /// Of the file's bytes; `None` unless they are exactly what [`encode`](Self::encode) writes and the
    /// hashes have the root.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let form: Form = serde_json::from_slice(bytes).ok()?;
        let hashes = form
            .hashes
            .iter()
            .map(|hash| Hash::from_hex(hash.as_bytes()))
            .collect::<Option<Vec<_>>>()?;
        let tree = Frontier::from_parts(form.before, hashes)?;
        let pruned = Self { tree };
        (form.before > 0 && pruned.encode() == bytes).then_some(pruned)
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let hashes: Vec<String> = self
            .tree
            .hashes()
            .iter()
            .map(|hash| format!("\"{hash}\""))
            .collect();
        format!(
            "{{\"before\":{},\"root\":\"{}\",\"hashes\":[{}]}}\n",
            self.before(),
            self.tree.root(),
            hashes.join(",")
        )
        .into_bytes()
    }
}

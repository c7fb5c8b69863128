//! How pairs that the state keeps stand in snapshots: as records that name both.

/// A module for `#[serde(with = "...")]` of an optional pair.
macro_rules! named {
    ($($(#[$about:meta])* $module:ident: $first:ident, $second:ident;)*) => {$(
        $(#[$about])*
        pub(crate) mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Named<A, B> {
                $first: A,
                $second: B,
            }

            pub(crate) fn serialize<A: Serialize, B: Serialize, S: Serializer>(
                pair: &Option<(A, B)>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let named = pair.as_ref().map(|($first, $second)| Named { $first, $second });
                named.serialize(serializer)
            }

            pub(crate) fn deserialize<'de, A: Deserialize<'de>, B: Deserialize<'de>, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<(A, B)>, D::Error> {
                let named = Option::<Named<A, B>>::deserialize(deserializer)?;
                Ok(named.map(|Named { $first, $second }| ($first, $second)))
            }
        }
    )*};
}

named! {
    /// Who refused an attempt that waited.
    refused: by, note;
    /// The manifest before, and until when.
    before: record, until;
    /// A spool, and how many of its records.
    spool: spool, records;
    /// Where a snapshot was recorded.
    taken: entry, digest;
    /// What is in effect, and since which entry.
    effect: digest, entry;
}

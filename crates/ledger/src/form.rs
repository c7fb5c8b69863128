//! How maps stand in snapshots: in the order of their keys, whatever order they are kept in, so that equal states have
//! equal bytes. For `#[serde(serialize_with = "...")]`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn in_order<'a, K: Ord + 'a, V: 'a, M>(map: &'a M) -> BTreeMap<&'a K, &'a V>
where
    &'a M: IntoIterator<Item = (&'a K, &'a V)>,
{
    map.into_iter().collect()
}

/// A map as a list of pairs of key and value.
pub fn pairs<'a, K, V, M, S>(map: &'a M, serializer: S) -> Result<S::Ok, S::Error>
where
    K: Ord + Serialize + 'a,
    V: Serialize + 'a,
    &'a M: IntoIterator<Item = (&'a K, &'a V)>,
    S: Serializer,
{
    serializer.collect_seq(in_order(map))
}

/// A map whose keys are texts as a record.
pub fn record<'a, K, V, M, S>(map: &'a M, serializer: S) -> Result<S::Ok, S::Error>
where
    K: Ord + Serialize + 'a,
    V: Serialize + 'a,
    &'a M: IntoIterator<Item = (&'a K, &'a V)>,
    S: Serializer,
{
    serializer.collect_map(in_order(map))
}

/// A map as a list of its values, which say their keys.
pub fn values<'a, K, V, M, S>(map: &'a M, serializer: S) -> Result<S::Ok, S::Error>
where
    K: Ord + 'a,
    V: Serialize + 'a,
    &'a M: IntoIterator<Item = (&'a K, &'a V)>,
    S: Serializer,
{
    serializer.collect_seq(in_order(map).values())
}

/// The other way from [`pairs`]. Of pairs with the same key the last one stands.
pub(crate) fn from_pairs<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: Ord + Deserialize<'de>,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
}

/// What is shared, as if it were not.
pub(crate) mod shared {
    use super::{Arc, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(shared: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        T::serialize(shared, serializer)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

/// Whether nothing need be written, because nothing read means the same.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// No count of a state comes near it, so that those that are read can be counted on.
pub const MOST: u64 = 1 << 62;

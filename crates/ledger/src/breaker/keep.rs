//! A map that knows which of its items was touched the longest ago.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize, Serializer};

/// Items by key. Those that are not pinned stand in the order in which they were touched last.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Row<T>>", bound = "T: Deserialize<'de>")]
pub(super) struct Keep<T> {
    items: HashMap<Arc<str>, Kept<T>>,
    order: BTreeMap<u64, Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept<T> {
    /// The serial number of the touch; `None` for one that is pinned.
    touched: Option<u64>,
    item: T,
}

/// How an item stands in a snapshot.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<T, K = String> {
    of: K,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    touched: Option<u64>,
    item: T,
}

impl<T: Serialize> Serialize for Keep<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items: BTreeMap<&str, &Kept<T>> = self.items.iter().map(|(key, kept)| (&**key, kept)).collect();
        serializer.collect_seq(items.into_iter().map(|(of, kept)| Row {
            of,
            touched: kept.touched,
            item: &kept.item,
        }))
    }
}

impl<T> TryFrom<Vec<Row<T>>> for Keep<T> {
    type Error = &'static str;

    fn try_from(rows: Vec<Row<T>>) -> Result<Self, &'static str> {
        let mut keep = Self::default();
        for Row { of, touched, item } in rows {
            let of: Arc<str> = of.into();
            if let Some(serial) = touched
                && keep.order.insert(serial, Arc::clone(&of)).is_some()
            {
                return Err("two items of a breaker were touched at once");
            }
            keep.items.insert(of, Kept { touched, item });
        }
        Ok(keep)
    }
}

impl<T> Default for Keep<T> {
    fn default() -> Self {
        Self {
            items: HashMap::new(),
            order: BTreeMap::new(),
        }
    }
}

impl<T: Default> Keep<T> {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&T> {
        self.items.get(key).map(|kept| &kept.item)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.items.get_mut(key).map(|kept| &mut kept.item)
    }

    /// Those that are not pinned, the one touched last first.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&str, &T)> {
        self.order
            .values()
            .rev()
            .filter_map(|key| Some((&**key, self.get(key)?)))
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.items.iter().map(|(key, kept)| (&**key, &kept.item))
    }

    /// All of them, each with whether it is pinned, in no particular order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, bool, &T)> {
        self.items
            .iter()
            .map(|(key, kept)| (key, kept.touched.is_none(), &kept.item))
    }

    /// The last touch.
    pub(super) fn newest(&self) -> Option<u64> {
        self.order.keys().next_back().copied()
    }

    pub(super) fn items_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.values_mut().map(|kept| &mut kept.item)
    }

    /// The item of this key, made if there is none, as the last one touched. Serial numbers only grow.
    pub(super) fn touch(&mut self, key: &str, serial: u64) -> &mut T {
        let key = match self.items.get_key_value(key) {
            Some((key, _)) => Arc::clone(key),
            None => Arc::from(key),
        };
        let kept = self.items.entry(Arc::clone(&key)).or_insert_with(|| Kept {
            touched: Some(serial),
            item: T::default(),
        });
        if let Some(touched) = kept.touched {
            self.order.remove(&touched);
            kept.touched = Some(serial);
            self.order.insert(serial, key);
        }
        &mut kept.item
    }

    /// Makes an item that there is the last one touched.
    pub(super) fn touch_known(&mut self, key: &str, serial: u64) {
        if self.items.contains_key(key) {
            self.touch(key, serial);
        }
    }

    /// Takes an item out of the order, so that it is never the oldest.
    pub(super) fn pin(&mut self, key: &str) {
        let touched = self.items.get_mut(key).and_then(|kept| kept.touched.take());
        if let Some(touched) = touched {
            self.order.remove(&touched);
        }
    }

    /// Puts a pinned item back, as the last one touched.
    pub(super) fn unpin(&mut self, key: &str, serial: u64) {
        let Some((key, _)) = self.items.get_key_value(key) else {
            return;
        };
        let key = Arc::clone(key);
        if let Some(kept) = self.items.get_mut(&key).filter(|kept| kept.touched.is_none()) {
            kept.touched = Some(serial);
            self.order.insert(serial, key);
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(touched) = self.items.remove(key).and_then(|kept| kept.touched) {
            self.order.remove(&touched);
        }
    }

    /// When the item that was touched the longest ago was.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.order.keys().next().copied()
    }

    /// Forgets the item that was touched the longest ago.
    pub(super) fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.items.remove(&key);
        }
    }

    /// Forgets the item that was touched the longest ago if nothing of it can count, and so again, a few times.
    pub(super) fn sweep(&mut self, idle: impl Fn(&T) -> bool) {
        for _ in 0..2 {
            let first = self.order.values().next();
            let is_idle = first
                .and_then(|key| self.items.get(key))
                .is_some_and(|kept| idle(&kept.item));
            if !is_idle {
                return;
            }
            self.forget_oldest();
        }
    }
}

//! Scripts that hold for a few calls only.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use http::HeaderMap;

use crate::script::{SCRIPT_HEADER, Script};

/// The most scripts that are counted; of more, none is. Tests use a few.
const MOST: usize = 4_096;

/// How often each script with `first` was used.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Vec<u8>, u64>>);

impl Turns {
    /// The script as it holds for this call.
    pub(crate) fn now(&self, script: Script, headers: &HeaderMap) -> Script {
        let (Some(first), Some(text)) = (script.first, headers.get(SCRIPT_HEADER)) else {
            return script;
        };
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MOST {
            return script;
        }
        let count = used.entry(text.as_bytes().to_vec()).or_default();
        *count += 1;
        if *count > first { Script::default() } else { script }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_holds_for_as_many_calls_as_it_says() {
        let turns = Turns::default();
        let seen = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(SCRIPT_HEADER, text.parse().unwrap());
            turns.now(Script::of(&headers).unwrap(), &headers).status.is_some()
        };
        let always = ["status=500"; 3].map(seen);
        let twice = ["status=500;first=2"; 4].map(seen);
        let once = ["status=500;first=1"; 2].map(seen);
        assert_eq!(
            (always, twice, once),
            ([true; 3], [true, true, false, false], [true, false])
        );
    }
}

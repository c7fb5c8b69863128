//! How much memory the parts of a reply may take.

use super::AssembleError;

/// Bytes that may be held, and those that are. Whatever reads a value charges what it takes before it is made; whoever
/// drops or merges one gives back what goes. So nothing is counted twice, and no event is read to its end first.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    held: usize,
    most: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { held: 0, most }
    }

    /// For what is only moved: nothing is refused.
    pub(super) fn boundless() -> Self {
        Self::new(usize::MAX)
    }

    /// Takes `bytes`, if they are there.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), AssembleError> {
        if bytes > self.most.saturating_sub(self.held) {
            return Err(AssembleError::TooLarge);
        }
        self.held += bytes;
        Ok(())
    }

    /// Gives `bytes` back.
    pub(super) fn free(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// What is held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

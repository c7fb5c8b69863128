//! Witnesses, as they are declared and as they are asked. What is sent to them is for whoever starts the server.

use std::{fmt, pin::Pin, time::Duration};

use tlog::{
    Hash,
    cosignature::CosignerKey,
    note::{Note, Signature},
};

/// A witness, as it is declared.
#[derive(Clone, Debug)]
pub struct WitnessSpec {
    /// Its public key, with its name.
    pub key: CosignerKey,
    /// Its address, without a slash at the end.
    pub url: String,
    /// The authorities that its certificate must come from, as PEM; `None` for the public ones.
    pub ca: Option<String>,
}

/// What a witness says to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WitnessAnswer {
    /// It gives its signatures. They are not verified yet.
    Cosigned(Vec<Signature>),
    /// It has cosigned a tree of this size last, which is not the one that it was asked to go on from.
    At(u64),
    /// What it has cosigned is not what this checkpoint goes on from: there are two histories.
    Fork(String),
    /// It does not know the log, or none of the keys that have signed.
    Unknown(String),
    /// It answered with an error.
    Failed(String),
    /// It did not answer.
    Unreachable(String),
}

/// An answer that is under way.
pub type Asked<'a> = Pin<Box<dyn Future<Output = WitnessAnswer> + Send + 'a>>;

/// Asks witnesses. Each answer is given within a time of its own.
pub trait AskWitness: fmt::Debug + Send + Sync {
    /// Asks the witness with this place among [`Witnesses::known`] to cosign a checkpoint of a log, of which it has cosigned
    /// the tree of size `old` last; `proof` leads from there to the checkpoint.
    fn ask(&self, witness: usize, old: u64, proof: Vec<Hash>, checkpoint: Note) -> Asked<'_>;
}

/// The witnesses of a deployment's logs.
#[derive(Debug)]
pub struct Witnesses {
    /// Their keys.
    pub known: Vec<CosignerKey>,
    /// How many of them have to sign a checkpoint before it is published.
    pub quorum: usize,
    /// How long it may take until it is recorded that too few have signed.
    pub timeout: Duration,
    /// Asks them.
    pub ask: Box<dyn AskWitness>,
}

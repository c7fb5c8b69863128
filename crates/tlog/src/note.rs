//! C2SP signed notes (<https://c2sp.org/signed-note>): a text, an empty line, and signatures of the text.
//!
//! A note is read with [`Note::parse`] and means nothing before [`Note::verify`]. Only Ed25519 signatures are made and
//! checked here, and witnesses' in [`cosignature`](crate::cosignature); those of other kinds are read and kept as signatures
//! by unknown keys.

mod key;

use std::fmt;

use data_encoding::BASE64;

use crate::hash::base64;

pub(crate) use key::Vkey;
pub use key::{KeyError, KeyId, SigningKey, VerifierKey};

/// The longest note, in bytes: room for [`MAX_SIGNATURES`] post-quantum signatures of 5 kB.
pub const MAX_NOTE_BYTES: usize = 1 << 20;

/// The most signatures in a note. The specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

/// Begins a signature line: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// A text with signatures. Displayed as it is sent and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    body: String,
    signatures: Vec<Signature>,
}

/// One signature of a note, by a key that may or may not be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: KeyId,
    bytes: Vec<u8>,
}

/// Why a text is not a note, or a note is not to be believed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoteError {
    /// The note is longer than [`MAX_NOTE_BYTES`].
    #[error("a note has at most {MAX_NOTE_BYTES} bytes, not {0}")]
    TooLong(usize),
    /// The text has a control character other than the newline.
    #[error("a note has no control characters but newlines")]
    ControlCharacter,
    /// The body does not end in a newline.
    #[error("the body of a note ends in a newline")]
    Body,
    /// No empty line sets signatures apart from the body.
    #[error("a note has an empty line before its signatures")]
    NoSignatures,
    /// A line below the last empty line, counted from 1, is not a signature.
    #[error("signature line {0} is not an em dash, a key name and a signature in base64, ended by a newline")]
    SignatureLine(usize),
    /// There are more signatures than [`MAX_SIGNATURES`].
    #[error("a note has at most {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A known key did not make the signature that bears its name and id: the note was altered or forged.
    #[error("the signature by {name} ({id}) does not match the note")]
    BadSignature {
        /// Name of the key.
        name: String,
        /// Id of the key.
        id: KeyId,
    },
    /// None of the known keys signed the note.
    #[error("no known key signed the note")]
    UnknownSigners,
    /// The note could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Note {
    /// Reads a note without believing it. What is read is displayed again as the very same text.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        if text.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong(text.len()));
        }
        check_characters(text)?;
        // The last empty line: bodies may have empty lines too, signatures may not.
        let (body, signatures) = text.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        Ok(Self {
            body: format!("{body}\n"),
            signatures: Signature::parse_lines(signatures)?,
        })
    }

    /// The note with further signatures of it, such as witnesses give. One that takes the place of an earlier one by the
    /// same key stands where that was.
    ///
    /// # Errors
    /// When it would have too many signatures, or be too long.
    pub fn with(mut self, signatures: impl IntoIterator<Item = Signature>) -> Result<Self, NoteError> {
        for signature in signatures {
            let same = |other: &&mut Signature| other.name == signature.name && other.id == signature.id;
            let full = self.signatures.len() >= MAX_SIGNATURES;
            match self.signatures.iter_mut().find(same) {
                Some(earlier) => *earlier = signature,
                None if full => return Err(NoteError::TooManySignatures),
                None => self.signatures.push(signature),
            }
        }
        match self.to_string().len() {
            0..=MAX_NOTE_BYTES => Ok(self),
            long => Err(NoteError::TooLong(long)),
        }
    }

    /// The signed text, with its last newline. Not to be relied on before [`verify`](Self::verify).
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The signatures, in the order of the text.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The note with those of its signatures that are to be kept; one without any cannot be read again.
    #[must_use]
    pub fn keeping(mut self, keep: impl FnMut(&Signature) -> bool) -> Self {
        self.signatures.retain(keep);
        self
    }

    /// The known keys that signed, each once: never none.
    ///
    /// Signatures by unknown keys are passed over. A signature by a known key that does not match is an error even when
    /// others do: someone altered the note.
    pub fn verify<'k>(&self, known: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signers = Vec::new();
        for Signature { name, id, bytes } in &self.signatures {
            let Some(key) = known.iter().find(|key| key.name() == name && key.id() == *id) else {
                continue;
            };
            if !key.verifies(self.body.as_bytes(), bytes) {
                return Err(NoteError::BadSignature {
                    name: name.clone(),
                    id: *id,
                });
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() {
            Err(NoteError::UnknownSigners)
        } else {
            Ok(signers)
        }
    }
}

impl Signature {
    /// Reads a line of the form `— <name> <base64 of key id and signature>`, with its newline.
    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix(SIGNATURE_MARK)?.strip_suffix('\n')?;
        let (name, signature) = line.split_once(' ').filter(|(name, _)| is_name(name))?;
        let signature = base64(signature).ok()?;
        let (id, bytes) = signature.split_first_chunk().filter(|(_, bytes)| !bytes.is_empty())?;
        Some(Self {
            name: name.to_owned(),
            id: KeyId(*id),
            bytes: bytes.to_vec(),
        })
    }

    /// Reads signature lines, at least one and at most [`MAX_SIGNATURES`]: what stands below a note's body, and what
    /// witnesses answer. Nothing of them is believed.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, NoteError> {
        if text.matches('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let lines = text.split_inclusive('\n').zip(1..);
        let signatures = lines
            .map(|(line, number)| Self::parse(line).ok_or(NoteError::SignatureLine(number)))
            .collect::<Result<Vec<_>, _>>()?;
        match signatures.is_empty() {
            true => Err(NoteError::NoSignatures),
            false => Ok(signatures),
        }
    }

    /// Name of the key that is said to have signed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key that is said to have signed.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// One made by a key.
    pub(crate) fn new(name: &str, id: KeyId, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            id,
            bytes,
        }
    }

    /// What was signed with, after the key's id.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl SigningKey {
    /// Signs a text, which ends in a newline and has no other control characters.
    pub fn sign(&self, body: impl Into<String>) -> Result<Note, NoteError> {
        let body = body.into();
        check_characters(&body)?;
        if !body.ends_with('\n') {
            return Err(NoteError::Body);
        }
        let signature = self.signature(&body)?;
        Note {
            body,
            signatures: Vec::new(),
        }
        .with([signature])
    }

    /// Its signature of a note's body, to be added to a note that others have signed.
    pub fn signature(&self, body: &str) -> Result<Signature, NoteError> {
        let bytes = self.sign_bytes(body.as_bytes())?;
        Ok(Signature::new(self.verifier().name(), self.verifier().id(), bytes))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.body)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl fmt::Display for Signature {
    /// The signature line, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = [&self.id.0, self.bytes.as_slice()].concat();
        write!(f, "{SIGNATURE_MARK}{} {}", self.name, BASE64.encode_display(&signature))
    }
}

/// Whether a text may name a key or a log: not empty, and free of spaces, control characters and `+`.
pub(crate) fn is_name(text: &str) -> bool {
    let banned = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !text.is_empty() && !text.contains(banned)
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    let banned = |byte: u8| byte < b' ' && byte != b'\n';
    if text.bytes().any(banned) {
        Err(NoteError::ControlCharacter)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Keyed hashes: what stands in an entry instead of a person or a content.

use aws_lc_rs::{
    aead::{AES_256_GCM, RandomizedNonceKey},
    hmac::{self, HMAC_SHA256},
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ledger::Step;
use model::{AgentName, Digest, Pseudonym, TenantName};
use zeroize::Zeroizing;

/// Which pseudonym key is in use. It goes up when the key rotates.
pub(crate) const KEY_EPOCH: u32 = 1;

/// What stands before a pseudonym where a person could stand.
pub(crate) const PSEUDONYM: &str = "pseudonym:";
/// How many hexadecimal digits a pseudonym has.
const DIGITS: usize = 32;

/// The pseudonym that somebody wrote where a person could stand: `None` if they wrote a person, an error if what stands
/// behind the prefix can be none. It might be somebody's name, which must not get into a log.
pub(crate) fn written(text: &str) -> Option<Result<&str, String>> {
    let digits = text.strip_prefix(PSEUDONYM)?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    Some(if digits.len() == DIGITS && digits.bytes().all(is_digit) {
        Ok(digits)
    } else {
        Err(format!(
            "behind `{PSEUDONYM}` stand the {DIGITS} hexadecimal digits that lists show, in lower case; a person is written \
             without `{PSEUDONYM}`, as credentials are issued to them"
        ))
    })
}

/// The keys of pseudonyms and commitments. `Debug` of the inner keys shows none of their bytes.
#[derive(Debug)]
pub(crate) struct Privacy {
    people: hmac::Key,
    content: hmac::Key,
}

impl Privacy {
    /// Derives both keys from one secret, so that neither can be computed from the other.
    pub(crate) fn new(secret: &Zeroizing<Vec<u8>>) -> Self {
        let root = hmac::Key::new(HMAC_SHA256, secret);
        let derive = |label: &[u8]| hmac::Key::new(HMAC_SHA256, hmac::sign(&root, label).as_ref());
        Self {
            people: derive(b"bailiwick people v1"),
            content: derive(b"bailiwick content v1"),
        }
    }

    /// The same for a name that may be a pseudonym already, as those of our own users are.
    pub(crate) fn veil(&self, tenant: &TenantName, name: &str) -> String {
        match written(&format!("{PSEUDONYM}{name}")) {
            Some(Ok(_)) => name.to_owned(),
            _ => self.pseudonym(tenant, name).0,
        }
    }

    /// The pseudonym of a person in a tenant's log: without the key it can be neither undone nor linked across tenants.
    pub(crate) fn pseudonym(&self, tenant: &TenantName, identity: &str) -> Pseudonym {
        let tag = hmac::sign(
            &self.people,
            &[tenant.as_str().as_bytes(), b"\0", identity.as_bytes()].concat(),
        );
        let half = tag.as_ref().get(..16).unwrap_or_default();
        Pseudonym(HEXLOWER.encode(half))
    }

    /// A commitment to a content: whoever has the key and the content can show that they belong together, and nobody
    /// else can test guesses against it.
    pub(crate) fn commit(&self, content: &[u8]) -> String {
        BASE64URL_NOPAD.encode(hmac::sign(&self.content, content).as_ref())
    }

    /// An agent's idempotency key as the log knows it: it says nothing of the key, and links no two agents.
    pub(crate) fn repeat(&self, tenant: &TenantName, agent: &AgentName, key: &str) -> String {
        let parts = ["repeat", tenant.as_str(), agent.as_str(), key];
        let tag = hmac::sign(&self.people, parts.join("\0").as_bytes());
        BASE64URL_NOPAD.encode(tag.as_ref().get(..16).unwrap_or_default())
    }

    /// What an agent asks to be done next, as the log knows it: it shows when the same is asked again, and nothing else.
    pub(crate) fn step(&self, tenant: &TenantName, agent: &AgentName, step: &[u8]) -> Step {
        let mut context = hmac::Context::with_key(&self.content);
        for part in ["step", tenant.as_str(), agent.as_str()] {
            context.update(part.as_bytes());
            context.update(b"\0");
        }
        context.update(step);
        let tag = context.sign();
        let part = tag.as_ref().first_chunk().copied().unwrap_or_default();
        Step(u64::from_be_bytes(part))
    }

    /// A commitment to a content of a tenant's, as a digest.
    pub(crate) fn commit_to(&self, tenant: &TenantName, content: &str) -> Digest {
        let mut context = hmac::Context::with_key(&self.content);
        for part in ["entities", tenant.as_str()] {
            context.update(part.as_bytes());
            context.update(b"\0");
        }
        context.update(content.as_bytes());
        Digest(context.sign().as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// The key of a tenant's page tokens: AES-256 in Galois/counter mode. `None` only if the library did not take it.
    pub(crate) fn pages(&self, tenant: &TenantName) -> Option<RandomizedNonceKey> {
        let derived = hmac::sign(&self.content, &[b"pages\0", tenant.as_str().as_bytes()].concat());
        RandomizedNonceKey::new(&AES_256_GCM, derived.as_ref()).ok()
    }

    /// What shows that the cursor of a search is one of this server's.
    pub(crate) fn cursor_code(&self, cursor: &[u8]) -> [u8; 16] {
        let tag = hmac::sign(&self.content, &[b"search\0", cursor].concat());
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// A commitment to a content that comes in parts.
    pub(crate) fn commitment(&self) -> Commitment {
        Commitment(hmac::Context::with_key(&self.content))
    }
}

/// A commitment under way.
pub(crate) struct Commitment(hmac::Context);

impl Commitment {
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub(crate) fn finish(self) -> String {
        BASE64URL_NOPAD.encode(self.0.sign().as_ref())
    }
}

impl std::fmt::Debug for Commitment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Commitment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_differ_by_person_tenant_and_key() {
        let a = Privacy::new(&Zeroizing::new(vec![1; 32]));
        let b = Privacy::new(&Zeroizing::new(vec![2; 32]));
        let tenant = TenantName::default_tenant();
        let other = TenantName::new("acme").unwrap();
        let of = |privacy: &Privacy, tenant: &TenantName, who: &str| privacy.pseudonym(tenant, who).0;
        assert_eq!(of(&a, &tenant, "ann@acme.example"), of(&a, &tenant, "ann@acme.example"));
        assert_ne!(of(&a, &tenant, "ann@acme.example"), of(&a, &tenant, "bob@acme.example"));
        assert_ne!(of(&a, &tenant, "ann@acme.example"), of(&a, &other, "ann@acme.example"));
        assert_ne!(of(&a, &tenant, "ann@acme.example"), of(&b, &tenant, "ann@acme.example"));
        assert_eq!(of(&a, &tenant, "ann@acme.example").len(), 32);
    }

    #[test]
    fn idempotency_keys_are_each_agents_own() {
        let privacy = Privacy::new(&Zeroizing::new(vec![1; 32]));
        let (tenant, other) = (TenantName::default_tenant(), TenantName::new("acme").unwrap());
        let agent = |name: &str| AgentName::new(name).unwrap();
        let of = |tenant: &TenantName, name: &str, key: &str| privacy.repeat(tenant, &agent(name), key);
        let all = [
            of(&tenant, "a", "k"),
            of(&tenant, "a", "l"),
            of(&tenant, "b", "k"),
            of(&other, "a", "k"),
        ];
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        assert!(all.iter().all(|tag| tag.len() == 22), "{all:?}");
    }

    #[test]
    fn parts_commit_like_the_whole() {
        let privacy = Privacy::new(&Zeroizing::new(vec![1; 32]));
        let mut parts = privacy.commitment();
        parts.update(b"hello ");
        parts.update(b"world");
        assert_eq!(parts.finish(), privacy.commit(b"hello world"));
    }
}

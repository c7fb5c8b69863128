//! What the decision point says of itself: where it is, what it can do, and a signature under that.

use authzen::Metadata;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::TenantName;
use serde::Serialize;
use serde_json::{Value, json};
use store::DataDir;
use zeroize::Zeroizing;

use crate::{Control, StartError};

/// How long signed metadata is good from the hour in which it was signed: as long as anybody may keep it, and a day.
const GOOD_FOR_S: i64 = 25 * 3_600;
/// Signed metadata is the same for so long, so that it can be kept.
const SAME_FOR_S: i64 = 3_600;
/// How an Ed25519 private key begins in PKCS #8 (RFC 8410, section 7): its 32 bytes follow.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The types of obligations that policies can put on an enforcement point.
const OBLIGATIONS: [&str; 4] = ["step-up", "notification", "session_termination", "custom"];

/// The paths that the decision point answers, by method and as OpenAPI writes them.
pub fn endpoints() -> [(&'static str, &'static str); 9] {
    [
        ("POST", "/access/v1/evaluation"),
        ("POST", "/access/v1/evaluations"),
        ("POST", "/access/v1/search/subject"),
        ("POST", "/access/v1/search/resource"),
        ("POST", "/access/v1/search/action"),
        ("GET", "/.well-known/authzen-configuration"),
        ("GET", "/.well-known/authzen-configuration/{tenant}"),
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/.well-known/jwks.json/{tenant}"),
    ]
}

/// The key that a tenant's decision point signs with. It is made when the tenant is first seen, and kept beside the key of
/// its log.
pub(crate) struct PdpKey {
    id: String,
    public: String,
    private: EncodingKey,
}

impl std::fmt::Debug for PdpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PdpKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PdpKey {
    /// Reads the key, or makes it.
    pub(crate) fn load(
        dir: &DataDir,
        tenant: &TenantName,
        random: impl FnOnce() -> Zeroizing<[u8; 32]>,
    ) -> Result<Self, StartError> {
        let name = format!("keys/authzen.{tenant}.seed");
        let unusable = || StartError::Key(dir.path().join(&name));
        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes).into_bytes();
        let text = Zeroizing::new(dir.read_or_create(&name, || hex(random().as_slice()))?);
        let seed = HEXLOWER.decode(text.trim_ascii()).ok().map(Zeroizing::new);
        let seed = seed.filter(|seed| seed.len() == 32).ok_or_else(unusable)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| unusable())?;
        let public = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        let private = Zeroizing::new([PKCS8.as_slice(), &seed].concat());
        Ok(Self {
            id: thumbprint(&public),
            public,
            private: EncodingKey::from_ed_der(&private),
        })
    }

    fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.id, "x": self.public })
    }
}

/// The name of a key (RFC 7638, section 3): its required members in their order, hashed.
fn thumbprint(public: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes());
    BASE64URL_NOPAD.encode(hash.as_ref())
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    #[serde(flatten)]
    metadata: &'a Metadata,
}

impl Control {
    /// What the decision point of a tenant says of itself, where enforcement points reach it below this address; `None` if
    /// there is no such tenant.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn pdp_metadata(&self, tenant: Option<&str>, base: &str) -> Option<Result<Metadata, String>> {
        let name = tenant_named(tenant)?;
        let key = self.snapshot().tenants.get(&name)?.pdp_key.clone();
        let identifier = match tenant {
            Some(tenant) => format!("{base}/{tenant}"),
            None => base.to_owned(),
        };
        let mut metadata = Metadata::of(&identifier, base);
        metadata.supported_obligations = OBLIGATIONS.map(str::to_owned).to_vec();
        metadata.jwks_uri = Some(match tenant {
            Some(tenant) => format!("{base}/.well-known/jwks.json/{tenant}"),
            None => format!("{base}/.well-known/jwks.json"),
        });
        let now = self.now().unix_micros().div_euclid(1_000_000);
        let iat = now - now.rem_euclid(SAME_FOR_S);
        let claims = Claims {
            iss: &identifier,
            iat,
            nbf: iat,
            exp: iat + GOOD_FOR_S,
            metadata: &metadata,
        };
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let signed = jsonwebtoken::encode(&header, &claims, &key.private);
        Some(signed.map_err(|error| error.to_string()).map(|signed| Metadata {
            signed_metadata: Some(signed),
            ..metadata
        }))
    }

    /// The public keys that a tenant's decision point signs with (RFC 7517, section 5); `None` if there is no such tenant.
    pub fn pdp_keys(&self, tenant: Option<&str>) -> Option<Value> {
        let name = tenant_named(tenant)?;
        let key = self.snapshot().tenants.get(&name)?.pdp_key.clone();
        Some(json!({ "keys": [key.jwk()] }))
    }
}

/// A tenant by the segment of a path. The tenant `default` has none.
fn tenant_named(tenant: Option<&str>) -> Option<TenantName> {
    match tenant {
        None => Some(TenantName::default_tenant()),
        Some(name) => TenantName::new(name)
            .ok()
            .filter(|name| *name != TenantName::default_tenant()),
    }
}

//! Asking witnesses over HTTP.

use std::time::Duration;

use bytes::Bytes;
use config::{Problems, Settings};
use control::{AskWitness, Asked, WitnessAnswer, WitnessSpec, Witnesses};
use http::{Method, Request, Uri, header};
use tlog::{Hash, note::Note};
use transport::{
    Bounds, Client,
    tls::{self, Trust},
};
use witness::{ADD_CHECKPOINT_PATH, AddCheckpoint, Answer, MAX_REQUEST_BYTES, Refusal};

/// A witness answers at once, or it is as good as away.
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(5),
    exchange: Duration::from_secs(10),
    answer: MAX_REQUEST_BYTES,
};

/// The witnesses of a configuration; `None` if it declares none.
///
/// # Errors
/// Certificates that are not there or cannot be used.
pub(crate) fn load(settings: &Settings) -> Result<Option<Witnesses>, Problems> {
    let specs = config::load_witnesses(settings)?;
    if specs.is_empty() {
        return Ok(None);
    }
    Ok(Some(Witnesses {
        known: specs.iter().map(|spec| spec.key.clone()).collect(),
        quorum: settings.audit.quorum,
        timeout: settings.audit.witness_timeout,
        ask: Box::new(Http(specs.iter().map(Place::of).collect())),
    }))
}

/// Reaches each witness by its place among them.
#[derive(Debug)]
struct Http(Vec<Place>);

/// Where a witness is.
#[derive(Debug)]
struct Place {
    client: Client,
    path: String,
    /// Why it cannot be reached whatever it does.
    unusable: Option<String>,
}

impl Place {
    fn of(spec: &WitnessSpec) -> Self {
        let parsed: Result<Uri, _> = spec.url.parse();
        let uri = parsed.as_ref().cloned().unwrap_or_default();
        let ca = spec.ca.as_ref().map(|pem| pem.as_bytes());
        let made = (uri.scheme_str() == Some("https")).then(|| {
            tls::client(&tls::Client {
                trust: ca.map_or(Trust::Public, Trust::Authorities),
                identity: None,
                alpn: &[tls::HTTP_1],
            })
        });
        // Both were checked when the configuration was read.
        let (tls, unusable) = match made.transpose() {
            Ok(tls) => (tls, parsed.err().map(|error| error.to_string())),
            Err(error) => (None, Some(error.to_string())),
        };
        let path = format!("{}{ADD_CHECKPOINT_PATH}", uri.path().trim_end_matches('/'));
        Self {
            client: Client::new(uri, tls, BOUNDS),
            path,
            unusable,
        }
    }

    async fn ask(&self, old: u64, proof: Vec<Hash>, checkpoint: Note) -> WitnessAnswer {
        if let Some(why) = &self.unusable {
            return WitnessAnswer::Unreachable(why.clone());
        }
        let request = match AddCheckpoint::new(old, proof, checkpoint) {
            Ok(request) => request.to_string(),
            Err(error) => return WitnessAnswer::Failed(format!("it cannot be asked: {error}")),
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Bytes::from(request));
        let sent = match request {
            Ok(request) => self.client.send(request).await,
            Err(error) => return WitnessAnswer::Failed(format!("it cannot be asked: {error}")),
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return WitnessAnswer::Unreachable(error.to_string()),
        };
        let body = match &answer.body {
            Ok(body) => body,
            Err(error) => return WitnessAnswer::Unreachable(error.to_string()),
        };
        let kind = answer.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        said(Answer::read(answer.status, kind, body, old))
    }
}

impl AskWitness for Http {
    fn ask(&self, witness: usize, old: u64, proof: Vec<Hash>, checkpoint: Note) -> Asked<'_> {
        Box::pin(async move {
            match self.0.get(witness) {
                Some(place) => place.ask(old, proof, checkpoint).await,
                None => WitnessAnswer::Unreachable("it is not declared".to_owned()),
            }
        })
    }
}

fn said(answer: Result<Answer, String>) -> WitnessAnswer {
    match answer {
        Ok(Answer::Cosigned(signatures)) => WitnessAnswer::Cosigned(signatures),
        Ok(Answer::Refused(Refusal::OtherSize(size))) => WitnessAnswer::At(size),
        // Of a stranger's refusal the text is its own.
        Ok(Answer::Refused(Refusal::Unproved { why, .. })) => WitnessAnswer::Fork(why),
        Ok(Answer::Refused(refusal @ Refusal::Forked(_))) => WitnessAnswer::Fork(refusal.to_string()),
        Ok(Answer::Refused(Refusal::UnknownLog(why))) => WitnessAnswer::Unknown(why),
        Ok(Answer::Refused(refusal @ Refusal::Unsigned(_))) => WitnessAnswer::Unknown(refusal.to_string()),
        Ok(Answer::Refused(refusal)) => WitnessAnswer::Failed(refusal.to_string()),
        Err(why) => WitnessAnswer::Failed(why),
    }
}

//! The listeners' certificates, which are renewed while the server runs.
//!
//! The files are read again when the configuration is, and looked at every few seconds besides: whatever renews them need
//! not know of Bailiwick. What cannot be used is reported, and the certificate in use stays; so it does where another one
//! has expired or is not valid yet, until it is.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use config::{Problems, ServerFiles, ServerPem, Settings};
use control::Control;
use transport::ServerTls;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(3);

/// One listener's certificate.
struct Certificate {
    /// As metrics name the listener.
    listener: &'static str,
    files: ServerFiles,
    tls: ServerTls,
    seen: Mutex<Seen>,
    /// Whether what the files hold cannot be used.
    stale: AtomicBool,
}

/// What the files last held.
enum Seen {
    /// This, which is in use unless it was found to be unusable.
    Pem(ServerPem),
    /// This, which has expired or is not valid yet.
    Undated(ServerPem),
    /// They could not be read, for this reason.
    Unreadable(String),
}

/// The certificates of both listeners, as far as they have any.
#[derive(Clone)]
pub(crate) struct Certificates {
    agents: Option<Arc<Certificate>>,
    admin: Option<Arc<Certificate>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the files that the settings name.
    pub(crate) fn load(settings: &Settings) -> Result<Self, Problems> {
        let load = |listener, files: &Option<ServerFiles>| -> Result<_, Problems> {
            let Some(files) = files else { return Ok(None) };
            let pem = files.read()?;
            let tls = ServerTls::new(files.config(&pem)?);
            // There is no other that could be used instead.
            if let Err(why) = pem.check_dates(SystemTime::now()) {
                tracing::warn!(listener, "{}", files.outside_dates(why));
            }
            Ok(Some(Arc::new(Certificate {
                listener,
                files: files.clone(),
                tls,
                seen: Mutex::new(Seen::Pem(pem)),
                stale: AtomicBool::new(false),
            })))
        };
        Ok(Self {
            agents: load("agents", &settings.agents_tls)?,
            admin: load("admin", &settings.admin_tls)?,
        })
    }

    /// For the agents' listener.
    pub(crate) fn agents(&self) -> Option<ServerTls> {
        self.agents.as_ref().map(|certificate| certificate.tls.clone())
    }

    /// For the administration listener.
    pub(crate) fn admin(&self) -> Option<ServerTls> {
        self.admin.as_ref().map(|certificate| certificate.tls.clone())
    }

    /// Looks at the files, and puts in use what changed.
    pub(crate) fn refresh(&self) {
        self.iter().for_each(Certificate::refresh);
    }

    fn iter(&self) -> impl Iterator<Item = &Certificate> {
        [&self.agents, &self.admin].into_iter().flatten().map(Arc::as_ref)
    }

    /// Looks at the files again and again, until it is dropped.
    pub(crate) async fn watch(self, control: Control) {
        if self.agents.is_none() && self.admin.is_none() {
            return;
        }
        loop {
            for certificate in self.iter() {
                control.note_stale_certificate(certificate.listener, certificate.stale.load(Relaxed));
            }
            tokio::time::sleep(LOOK).await;
            let certificates = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || certificates.refresh()).await {
                tracing::error!(%error, "the certificates could not be looked at");
            }
        }
    }
}

impl Certificate {
    fn refresh(&self) {
        let read = self.files.read();
        // A poisoned lock only means that a thread died while looking.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let dates = read.as_ref().map_or(Ok(()), |pem| pem.check_dates(SystemTime::now()));
        let outcome = match (read, &*seen) {
            (Ok(pem), Seen::Pem(old)) if pem == *old => return,
            (Ok(pem), Seen::Undated(old)) if pem == *old && dates.is_err() => return,
            (Err(problems), Seen::Unreadable(old)) if problems.to_string() == *old => return,
            (Ok(pem), _) => {
                let config = self.files.config(&pem);
                match (config, dates) {
                    (Ok(_), Err(why)) => {
                        *seen = Seen::Undated(pem);
                        Err(self.files.outside_dates(why).into())
                    }
                    (config, _) => {
                        *seen = Seen::Pem(pem);
                        config
                    }
                }
            }
            (Err(problems), _) => {
                *seen = Seen::Unreadable(problems.to_string());
                Err(problems)
            }
        };
        let listener = self.listener;
        self.stale.store(outcome.is_err(), Relaxed);
        match outcome {
            Ok(config) => {
                self.tls.replace(config);
                tracing::info!(listener, "a new certificate is in use");
            }
            Err(problems) => {
                for problem in problems.iter() {
                    tracing::error!(listener, "{problem}");
                }
                tracing::error!(listener, "the certificate in use stays: its files cannot be used");
            }
        }
    }
}

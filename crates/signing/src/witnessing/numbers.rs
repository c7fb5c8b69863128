//! Numbers about those who vouch for the logs.

use model::TenantName;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WitnessLabels {
    tenant: String,
    witness: String,
    answer: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabels {
    tenant: String,
}

/// What witnesses answered, and what that came to.
#[derive(Debug)]
pub struct Vouched {
    answers: Family<WitnessLabels, Counter>,
    cosigned: Family<LogLabels, Gauge>,
    quorum_missed: Family<LogLabels, Gauge>,
}

impl Vouched {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let all = Self {
            answers: Family::default(),
            cosigned: Family::default(),
            quorum_missed: Family::default(),
        };
        registry.register(
            "witness_answers",
            "Checkpoints shown to witnesses, by what they answered",
            all.answers.clone(),
        );
        registry.register(
            "cosigned_size",
            "Entries covered by the last checkpoint that enough witnesses have cosigned",
            all.cosigned.clone(),
        );
        registry.register(
            "witness_quorum_missed",
            "1 if too few witnesses have cosigned the log's checkpoints in time",
            all.quorum_missed.clone(),
        );
        all
    }

    /// Counts what a witness has answered.
    pub fn answered(&self, tenant: &TenantName, witness: &str, answer: &'static str) {
        let (tenant, witness) = (tenant.to_string(), witness.to_owned());
        let labels = WitnessLabels {
            tenant,
            witness,
            answer,
        };
        self.answers.get_or_create(&labels).inc();
    }

    /// Says how much of a log enough witnesses have cosigned.
    pub fn cosigned(&self, tenant: &TenantName, size: u64) {
        let tenant = tenant.to_string();
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        self.cosigned.get_or_create(&LogLabels { tenant }).set(size);
    }

    /// Says whether too few witnesses have cosigned a log's checkpoints in time.
    pub fn quorum_missed(&self, tenant: &TenantName, missed: bool) {
        let tenant = tenant.to_string();
        self.quorum_missed
            .get_or_create(&LogLabels { tenant })
            .set(i64::from(missed));
    }
}

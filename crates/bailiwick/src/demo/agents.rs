//! The scripted work of the four agents. The calls are real; only the provider's answers are not.

mod fraud_analyst;
mod nightly_report;
mod site_auditor;
mod support_assistant;

use super::{
    caller::{Answer, Caller},
    cast::Agent,
    event::{State, Tone},
    reply::Reply,
};

/// The small models that all agents may use.
const GPT: &str = "gpt-4o-mini";
const CLAUDE: &str = "claude-haiku-4-5";

/// Does an agent's work from its first call to its last.
pub(crate) async fn work(caller: Caller) {
    let done = match caller.agent {
        Agent::NightlyReport => nightly_report::work(&caller).await,
        Agent::SiteAuditor => site_auditor::work(&caller).await,
        Agent::FraudAnalyst => fraud_analyst::work(&caller).await,
        Agent::SupportAssistant => support_assistant::work(&caller).await,
    };
    if let Err(error) = done {
        caller.doing(State::Failed, "could not go on");
        caller.note(Tone::Bad, format!("{error:#}"));
    }
}

/// The reply, where nothing else is expected.
fn expect(answer: Answer) -> anyhow::Result<Reply> {
    match answer {
        Answer::Reply(reply) => Ok(reply),
        Answer::Refused {
            status,
            reason,
            message,
        } => anyhow::bail!("{status} {reason}: {message}"),
        Answer::Failed(error) => anyhow::bail!("the provider failed: {error}"),
    }
}

//! What a call can cost at most, and what is written into it to bound that.

use std::sync::Arc;

use bytes::Bytes;
use entry::{AgentRecord, Tokens};
use llm::{Call, Edit};
use model::{NanoUsd, Reason, Work};
use pricing::{Allowances, Demand, ModelPrices};

use crate::{
    Control, UpstreamSpec,
    bound::output_bound,
    pipeline::{Attempt, REMOVED},
    snapshot::{Key, Snapshot, Tenant},
};

/// What the caller is told whose form says how long the model's name is.
const MEASURED: &str = "The model has another name at this upstream, and the form says how long the name is; send that \
                        part without Content-Length.";

/// What a call can cost at most, and what of it is sent.
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) body: Bytes,
    pub(crate) limit: u64,
    /// The output that is reserved for, where that is not `limit`.
    pub(crate) bound: Option<u64>,
    pub(crate) worst_case: NanoUsd,
    /// The tokens that the worst case is reckoned from.
    pub(crate) tokens: Tokens,
    /// `None` for what providers do for nothing.
    pub(crate) prices: Option<ModelPrices>,
    /// The upstream as it was when the call was decided.
    pub(crate) upstream: Arc<UpstreamSpec>,
    /// Where the call goes there.
    pub(crate) address: String,
}

impl Control {
    /// Reads what the call can cost at most, and writes into it what bounds that.
    pub(crate) fn quote(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        key: &Key,
        attempt: &Attempt<'_>,
        upstream: &Arc<UpstreamSpec>,
    ) -> Result<Quote, (Reason, String)> {
        let call = &*attempt.call;
        let Some(agent) = tenant.agents.get(&key.principal.agent) else {
            return Err((Reason::UnknownAgent, REMOVED.to_owned()));
        };
        if !key.allows(&upstream.name, &call.model) {
            let message = format!(
                "This credential is narrowed to other upstreams or models; {}/{} is not among them.",
                upstream.name, call.model
            );
            return Err((Reason::CredentialScope, message));
        }
        let address = upstream
            .address(call.endpoint, &call.model)
            .map_err(|error| (Reason::InvalidRequest, error.to_string()))?;
        let sent_as = upstream.sent_as(&call.model);
        if !call.can_name(sent_as) {
            return Err((Reason::InvalidRequest, MEASURED.to_owned()));
        }
        let edit = Edit {
            model: Some(sent_as),
            ..Edit::default()
        };
        if call.work == Work::Free {
            return Ok(Quote {
                body: call.rewrite(&attempt.body, edit),
                limit: 0,
                bound: None,
                worst_case: NanoUsd::ZERO,
                tokens: Tokens::default(),
                prices: None,
                upstream: upstream.clone(),
                address,
            });
        }
        let unpriced = |error: pricing::PriceError| (reason_of(&error), error.to_string());
        let prices = snapshot.tariffs.of(upstream, &call.model).map_err(unpriced)?;
        let limit = self.output_limit(agent, call, &prices);
        let bound = output_bound(tenant, upstream, call, &prices, limit)?;
        let edit = Edit {
            output_limit: call.output_limit.is_none().then_some(limit),
            legacy_output_limit: upstream.legacy_output_limit,
            include_usage: upstream.stream_usage_option,
            stream: !upstream.honours_output_limit,
            ..edit
        };
        let body = call.rewrite(&attempt.body, edit);
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let demand = Demand {
            work: &call.work,
            // Tools that search are refused, so nothing is searched.
            searches: 0,
            // Files are bounded by the work they ask for, not by the tokens of a text of their length.
            request_bytes: length.saturating_sub(call.file_bytes),
            output_limit: bound.unwrap_or(limit),
            choices: call.choices,
            features: &call.features,
            tier: call.tier,
        };
        let allowances = Allowances::for_provider(&upstream.prices);
        let prices = prices.for_call(&demand);
        let worst_case = prices.worst_case(&demand, &allowances).map_err(unpriced)?;
        let (input, output) = prices.worst_tokens(&demand, &allowances).map_err(unpriced)?;
        Ok(Quote {
            body,
            limit,
            bound,
            worst_case,
            tokens: Tokens { input, output },
            prices: Some(prices),
            upstream: upstream.clone(),
            address,
        })
    }

    /// The output limit that the request is forwarded with: its own, or a configured one that the model can reach. Zero
    /// where output is not bounded in tokens.
    fn output_limit(&self, agent: &AgentRecord, call: &Call, prices: &ModelPrices) -> u64 {
        if !call.endpoint.has_output_limit() {
            return 0;
        }
        let default = agent.output_limit.unwrap_or(self.limits().output_limit);
        call.output_limit
            .unwrap_or(default.min(prices.max_output_tokens().unwrap_or(u64::MAX)))
    }
}

fn reason_of(error: &pricing::PriceError) -> Reason {
    match error {
        pricing::PriceError::Feature { .. } => Reason::UnboundedFeature,
        pricing::PriceError::Overflow => Reason::InvalidRequest,
        _ => Reason::UnpricedModel,
    }
}

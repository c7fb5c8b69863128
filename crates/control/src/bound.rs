//! How much output a hold reserves for: the limit that is sent, or, where that is not to be relied on, all that the model
//! can produce.

use llm::Call;
use model::Reason;
use pricing::ModelPrices;

use crate::{Refusal, UpstreamSpec, quote::Quote, snapshot::Tenant};

/// The output to reserve for, in tokens, where that is not `limit`, the limit that is sent: for an upstream that is declared
/// as not honouring limits, and for a model whose provider billed past a hold. Work whose output no limit bounds is reserved
/// for as ever.
///
/// # Errors
/// The refusal of a model whose maximum is not known.
pub(crate) fn output_bound(
    tenant: &Tenant,
    upstream: &UpstreamSpec,
    call: &Call,
    prices: &ModelPrices,
    limit: u64,
) -> Result<Option<u64>, (Reason, String)> {
    let distrusted = tenant.distrusts(&upstream.name, &call.model);
    if !call.endpoint.has_output_limit() || (upstream.honours_output_limit && !distrusted) {
        return Ok(None);
    }
    match prices.max_output_tokens() {
        // A client may ask for more than there is: it must not be reserved less for being distrusted.
        Some(most) => Ok(Some(most.max(limit))),
        None => Err((
            Reason::UnboundedOutput,
            unknown_maximum(upstream, &call.model, distrusted),
        )),
    }
}

fn unknown_maximum(upstream: &UpstreamSpec, model: &str, distrusted: bool) -> String {
    let (name, provider) = (&upstream.name, &upstream.prices);
    let why = match upstream.honours_output_limit {
        false => format!("Upstream {name} is declared as not honouring output limits"),
        true => format!("The provider billed a call to {name}/{model} past what was reserved for it"),
    };
    let or = match upstream.honours_output_limit && distrusted {
        true => format!(", or accepts the overrun with `bailiwick overrun accept {name}/{model} --note WHY`"),
        false => String::new(),
    };
    format!(
        "{why}, so the most that the model can produce has to be reserved, and that is not known. An administrator says \
         it in bailiwick.toml, as `max_output_tokens` in the [[prices]] of the model {model} of the provider \
         {provider}{or}. Nothing was forwarded."
    )
}

/// Says to a refusal for want of budget that it is the model's maximum that did not fit, if so.
pub(crate) fn explain(refusal: Refusal, quote: &Quote, model: &str) -> Refusal {
    let Some(bound) = quote.bound.filter(|_| refusal.reason == Reason::BudgetExhausted) else {
        return refusal;
    };
    let upstream = &quote.upstream;
    let name = &upstream.name;
    let why = match upstream.honours_output_limit {
        false => format!("upstream {name} is declared as not honouring output limits"),
        true => format!(
            "the provider billed a call to {name}/{model} past what was reserved for it, which an administrator has not \
             accepted yet (`bailiwick overrun list`)"
        ),
    };
    let message = format!(
        "{} Not the request's own limit but the model's maximum of {bound} output tokens had to be reserved: {why}.",
        refusal.message
    );
    Refusal { message, ..refusal }
}

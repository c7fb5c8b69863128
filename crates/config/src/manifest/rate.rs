//! `kind: RateLimit`.

mod written;

use ledger::{MAX_RATES, Measure, Per, Rate, RateSpec};
use model::LimitName;
use schemars::JsonSchema;
use serde::Deserialize;

use self::written::{Part, RawRate, RawRates};
use super::{
    Declared,
    check::Check,
    kind::RateLimitKind,
    select::{Names, RawSelect, Selected, each},
};
use crate::{
    node::{Field, Placed},
    problem::Findings,
    quantity::{Amount, Count},
    suggest::shown,
};

/// A rate limit: how fast the requests that it selects may go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RateLimit", extend("required" = ["kind", "name"]))]
pub(crate) struct RawRateLimit {
    /// What the document declares.
    kind: Field<RateLimitKind>,
    /// The limit's name, unique in its tenant: lower-case letters, digits, '-', '_' and '.'.
    name: Field<String>,
    /// The group in which it competes: of all limits of one group that select a request, only the most specific one counts.
    group: Field<String>,
    /// Which requests it is about; all of the tenant's if absent.
    select: Field<RawSelect>,
    /// A bucket for each value of these labels.
    each: Field<Names>,
    /// How many requests.
    requests: Field<RawRates<Count>>,
    /// How many tokens, in and out.
    tokens: Field<RawRates<Count>>,
    /// How many tokens in.
    input_tokens: Field<RawRates<Count>>,
    /// How many tokens out.
    output_tokens: Field<RawRates<Count>>,
    /// How much money.
    money: Field<RawRates<Amount>>,
}

impl TryFrom<Placed<RawRateLimit>> for Declared<RateSpec> {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawRateLimit>) -> Result<Self, Findings> {
        let mut check = Check::of("rate limit", mark, &raw.name);
        check.required(
            "kind",
            raw.kind,
            "every document says what it declares: `kind: RateLimit`",
        );
        let help = "every rate limit needs a name: refusals, reports and the log call it by that";
        let name = check.name(raw.name, LimitName::new, help);
        let group = match raw.group {
            Field::Absent => Some(String::new()),
            group => group.given().and_then(|group| check.group(group)),
        };
        let select = raw.select.value().unwrap_or_default();
        let Selected { selector, values } = Selected::read(select, true, &mut check.findings);
        let each = each(raw.each, &mut check.findings);
        let given = raw.requests.is_present()
            || raw.tokens.is_present()
            || raw.input_tokens.is_present()
            || raw.output_tokens.is_present()
            || raw.money.is_present();
        if !given {
            let message = format!("{} has no rate", check.subject);
            let help = "say how fast requests may go, such as `requests: 60 per minute`, or `tokens`, `input_tokens`, \
                        `output_tokens` or `money`";
            check.findings.add_with_help(mark, message, help);
        }
        let mut rates = check.rates(Measure::Calls, raw.requests);
        rates.extend(check.rates(Measure::Tokens, raw.tokens));
        rates.extend(check.rates(Measure::InputTokens, raw.input_tokens));
        rates.extend(check.rates(Measure::OutputTokens, raw.output_tokens));
        rates.extend(check.rates(Measure::Money, raw.money));
        if rates.len() > MAX_RATES {
            let message = format!("{} has {} rates, more than {MAX_RATES}", check.subject, rates.len());
            check
                .findings
                .add_with_help(mark, message, "each is asked for every request: drop some");
        }
        let limit = || {
            Some(RateSpec {
                name: name?,
                group: group?,
                select: selector,
                each: each.into_iter().map(|label| label.value).collect(),
                rates,
            })
        };
        let limit = limit();
        check.recorded(limit.as_ref());
        let declared = limit.map(|spec| Self { mark, spec, values });
        check.findings.conclude(declared)
    }
}

impl Check {
    fn group(&mut self, group: Placed<String>) -> Option<String> {
        match LimitName::new(&group.value) {
            Ok(_) => Some(group.value),
            Err(error) => {
                let message = format!("`{}` cannot be the name of a group: {error}", shown(&group.value));
                self.findings.add_with_help(
                    group.mark,
                    message,
                    "leave it out for the group that most limits are in",
                );
                None
            }
        }
    }

    /// The rates of one measure.
    fn rates<T: Part>(&mut self, measure: Measure, field: Field<RawRates<T>>) -> Vec<Rate> {
        let Some(Placed { mark, value: written }) = field.given() else {
            return Vec::new();
        };
        let mut rates: Vec<Rate> = Vec::new();
        for raw in written.placed(mark) {
            let Some(rate) = self.rate(measure, raw) else { continue };
            match rates.iter().any(|other| other.per == rate.per) {
                true => {
                    let message = format!("there are two rates per {}", rate.per.as_str());
                    self.findings.add_with_help(mark, message, "keep one of them");
                }
                false => rates.push(rate),
            }
        }
        rates
    }

    fn rate<T: Part>(&mut self, measure: Measure, Placed { mark, value: raw }: Placed<RawRate<T>>) -> Option<Rate> {
        let RawRate { limit, per, burst } = raw;
        let findings = &mut self.findings;
        let help = format!("write a rate such as `{}`, or `{{ {} }}`", T::EXAMPLE, T::TABLE);
        let limit = limit.required(Some(mark), "the rate has no `limit`", &help, findings);
        let per = per.required(Some(mark), "the rate has no `per`", &help, findings);
        let limit = limit.and_then(|limit| {
            let amount = limit.value.amount();
            let help = "to let nothing through, forbid it by policy, or set a budget to nothing";
            at_least_one(limit.mark, "a rate", amount, help, findings)
        });
        let burst = match burst {
            Field::Absent => limit
                .zip(per.as_ref())
                .map(|(limit, per)| usual_burst(measure, limit, per.value.0)),
            burst => burst.given().and_then(|burst| {
                let help = "no request would fit: it is as large as the largest request that should go";
                at_least_one(burst.mark, "a burst", burst.value.amount(), help, findings)
            }),
        };
        Some(Rate {
            measure,
            limit: limit?,
            per: per?.value.0,
            burst: burst?,
        })
    }
}

fn at_least_one(
    mark: crate::problem::Mark,
    what: &str,
    amount: ledger::Amount,
    help: &str,
    findings: &mut Findings,
) -> Option<ledger::Amount> {
    if amount > ledger::Amount::ZERO {
        return Some(amount);
    }
    findings.add_with_help(mark, format!("{what} of nothing lets nothing through"), help);
    None
}

/// Of requests per minute or hour, what is allowed in a sixth of that, so that they are spread out. Of requests per second,
/// and of everything else, what is allowed in the whole length: one request takes its worst case at once, and a smaller
/// burst would refuse for ever what the limit has room for.
fn usual_burst(measure: Measure, limit: ledger::Amount, per: Per) -> ledger::Amount {
    match (measure, per) {
        (Measure::Calls, Per::Minute | Per::Hour) => ledger::Amount((limit.0 / 6).max(1)),
        _ => limit,
    }
}

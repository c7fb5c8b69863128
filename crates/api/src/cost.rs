//! What calls cost.

pub(crate) mod time;

use axum::{Json, extract::State};
use control::{AdminError, CostQuery, CostReport, cost_label};
use jiff::{Zoned, tz::TimeZone};
use model::{TenantName, nearest};

use crate::{caller::Caller, input::Parameters, listener::Shared, problem::Problem};

/// What can stand after the `?`.
const PARAMETERS: [&str; 7] = ["by", "filter", "since", "tenant", "top", "until", "zone"];

/// A report. The parameters are taken as pairs: `filter` may come more than once.
pub(crate) async fn report(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(pairs): Parameters<Vec<(String, String)>>,
) -> Result<Json<CostReport>, Problem> {
    let query = query(&pairs, &jiff::Timestamp::now())?;
    Ok(Json(shared.control.cost(&actor, query).await?))
}

fn query(pairs: &[(String, String)], now: &jiff::Timestamp) -> Result<CostQuery, AdminError> {
    let invalid = |what: &str, why: &dyn std::fmt::Display| AdminError::Invalid(format!("{what}: {why}"));
    let mut query = CostQuery::default();
    let (mut since, mut until, mut zone) = (None, None, TimeZone::UTC);
    for (at, (name, value)) in pairs.iter().enumerate() {
        if name != "filter" && pairs.iter().take(at).any(|(earlier, _)| earlier == name) {
            return Err(AdminError::Invalid(format!("`{name}` is given twice")));
        }
        match name.as_str() {
            "by" => {
                let words = value.split(',').filter(|word| !word.is_empty());
                query.by = words.map(cost_label).collect::<Result<_, _>>()?;
            }
            "filter" => {
                let form =
                    || AdminError::Invalid(format!("filter: write label=value, such as team=data, not {value:?}"));
                let (label, value) = value.split_once('=').ok_or_else(form)?;
                query.only.push((cost_label(label)?, value.to_owned()));
            }
            "since" => since = Some(value),
            "until" => until = Some(value),
            "zone" => zone = time::zone(value)?,
            "tenant" => query.tenant = Some(TenantName::new(value).map_err(|why| invalid("tenant", &why))?),
            "top" => query.top = Some(value.parse().map_err(|_| invalid("top", &"write a whole number"))?),
            unknown => return Err(no_parameter(unknown)),
        }
    }
    let now: Zoned = now.to_zoned(zone);
    let instant = |text: Option<&String>, what| text.map(|text| time::instant(what, text, &now)).transpose();
    (query.since, query.until) = (instant(since, "since")?, instant(until, "until")?);
    Ok(query)
}

fn no_parameter(unknown: &str) -> AdminError {
    let near = nearest(unknown, &PARAMETERS).map(|near| format!("did you mean `{near}`? "));
    AdminError::Invalid(format!(
        "there is no parameter {unknown:?}: {}the parameters are {}",
        near.unwrap_or_default(),
        PARAMETERS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use control::CostLabel;

    use super::*;

    fn parse(text: &str) -> Result<CostQuery, String> {
        let pairs: Vec<(String, String)> = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let now = "2026-11-23T12:34:56Z".parse().unwrap();
        query(&pairs, &now).map_err(|error| error.to_string())
    }

    #[test]
    fn a_question_is_read() {
        let found = parse("by=team,product&filter=agent=a&filter=task=x=y&tenant=acme&top=3").unwrap();
        let expected = CostQuery {
            tenant: Some(TenantName::new("acme").unwrap()),
            by: vec![CostLabel::Team, CostLabel::Product],
            since: None,
            until: None,
            only: vec![(CostLabel::Agent, "a".to_owned()), (CostLabel::Task, "x=y".to_owned())],
            top: Some(3),
        };
        assert_eq!(found, expected);
        assert_eq!(parse("by="), Ok(CostQuery::default()));
        // The zone counts wherever it stands.
        let berlin = parse("since=2026-11-01&zone=Europe/Berlin").unwrap();
        assert_eq!(parse("zone=Europe/Berlin&since=2026-11-01").unwrap(), berlin);
        assert_eq!(parse("since=2026-10-31T23:00:00Z").unwrap(), berlin);
    }

    #[test]
    fn mistakes_are_told_with_what_was_meant() {
        for (text, told) in [
            (
                "by=teem",
                "costs have no label \"teem\": did you mean `team`? the labels are tenant, team, product",
            ),
            ("by=run", "costs have no label \"run\": the labels are"),
            ("by=team&by=agent", "`by` is given twice"),
            (
                "filter=team",
                "filter: write label=value, such as team=data, not \"team\"",
            ),
            ("filter=modl=x", "did you mean `model`?"),
            ("form=x", "there is no parameter \"form\""),
            ("untill=today", "did you mean `until`?"),
            ("top=many", "top: write a whole number"),
            ("tenant=No", "tenant: a name starts with"),
            ("zone=Europe/Berlni", "did you mean `Europe/Berlin`?"),
            ("since=tomorow", "since: \"tomorow\" is no time"),
            ("until=2026-11-31", "until: \"2026-11-31\" is no time"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
